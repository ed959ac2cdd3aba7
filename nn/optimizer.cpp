#include "nn/optimizer.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "engine/kernels/adamw.h"
#include "engine/kernels/step_scalars.h"
#include "engine/memory/memory_log.h"
#include "engine/tensor/transfer.h"

#include <cmath>

namespace nn {

using namespace engine;

Optimizer::Optimizer(Exec& exec, const ParameterStore& store, const OptimizerOptions& options) : options_(options) {
    MemoryScope scope("optimizer");
    for (const auto& [part, factor] : options.lr_scale) {
        bool known = false;
        for (const ParameterStore::Place& place : store.places()) known = known || place.parameter->part == part;
        expect(known, "train", "no parameter belongs to the part named in lr_scale: got \"{}\"; hint: remove train.lr_scale.{}", part,
               part);
    }
    for (const ParameterStore::Place& place : store.places()) {
        auto scale = options.lr_scale.find(place.parameter->part);
        double factor = scale != options.lr_scale.end() ? scale->second : 1.0;
        double decay = place.parameter->decays ? options.weight_decay : 0.0;
        if (!groups_.empty() && groups_.back().lr_factor == factor && groups_.back().decay == decay) {
            groups_.back().elements += place.elements;
        } else {
            groups_.push_back({place.offset, place.elements, factor, decay});
        }
    }
    scalars_ = zeros(exec, {static_cast<Size>(sizeof(StepScalars) / sizeof(std::int32_t))}, Dtype::i32);
    norm_ = zeros(exec, {1}, Dtype::f64);
    exec.scalars = static_cast<const StepScalars*>(scalars_.address());
}

void Optimizer::begin(Exec& exec, std::uint64_t seed, std::int64_t step, double learning_rate) {
    double t = static_cast<double>(step + 1);
    StepScalars values{.seed = seed,
                       .step = static_cast<std::uint64_t>(step),
                       .learning_rate = static_cast<float>(learning_rate),
                       .clip_factor = 1,
                       .bias_correction1 = static_cast<float>(1 - std::pow(options_.beta1, t)),
                       .bias_correction2 = static_cast<float>(1 - std::pow(options_.beta2, t))};
    visit_device(exec, [&]<class D>(D) { kernels::write_scalars<D>(exec, static_cast<StepScalars*>(scalars_.address()), values); });
}

void Optimizer::update(Exec& exec, ParameterStore& store) {
    ProfileScope profile("adamw");
    visit(exec, store.master().dtype(), [&]<class D, class S>(On<D, S>) {
        if constexpr (!std::is_same_v<S, bf16>) {
            kernels::clip_by_norm<D, S>(exec, static_cast<StepScalars*>(scalars_.address()), norm_.data<double>(),
                                        store.gradient().data<S>(), store.flat_elements(), options_.clip);
            for (const Group& group : groups_) {
                kernels::adamw<D, S>(exec, store.master().data<S>() + group.offset, store.gradient().data<S>() + group.offset,
                                     store.moment1().data<S>() + group.offset, store.moment2().data<S>() + group.offset, group.elements,
                                     {options_.beta1, options_.beta2, options_.eps, group.lr_factor, group.decay});
            }
        }
    });
    store.refresh_compute(exec);
}

double Optimizer::gradient_norm(Exec& exec) const { return to_host<double>(exec, norm_)[0]; }

}  // namespace nn
