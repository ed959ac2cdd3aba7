#include "nn/optimizer.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "engine/kernels/adamw.h"
#include "engine/kernels/step_scalars.h"
#include "engine/memory/memory_log.h"
#include "engine/tensor/transfer.h"

#include <algorithm>
#include <cmath>

namespace nn {

using namespace engine;

namespace {

// The factor of a part; every part that `factors` names must be one of the model's.
double factor_of(const std::string& part, const std::map<std::string, double>& factors) {
    auto found = factors.find(part);
    return found != factors.end() ? found->second : 1.0;
}

void expect_parts(const ParameterStore& store, const std::map<std::string, double>& factors, const char* key) {
    for (const auto& [part, factor] : factors) {
        bool known = std::ranges::any_of(store.places(), [&](const auto& place) { return place.parameter->part == part; });
        expect(known, "train", "no parameter belongs to the part named in {}: got \"{}\"; hint: remove train.{}.{}", key, part, key, part);
    }
}

}  // namespace

Optimizer::Optimizer(Exec& exec, const ParameterStore& store, const OptimizerOptions& options) : options_(options) {
    MemoryScope scope("optimizer");
    expect_parts(store, options.lr_scale, "lr_scale");
    expect_parts(store, options.decay_scale, "decay_scale");
    for (const ParameterStore::Place& place : store.places()) {
        const Parameter& parameter = *place.parameter;
        double factor = factor_of(parameter.part, options.lr_scale);
        double decay = parameter.decays ? options.weight_decay * factor_of(parameter.part, options.decay_scale) : 0.0;
        const ParameterStore::Place* table = options.touched_rows && parameter.is_table ? &place : nullptr;
        bool joins = !groups_.empty() && table == nullptr && groups_.back().table == nullptr && groups_.back().lr_factor == factor &&
                     groups_.back().decay == decay;
        if (joins) {
            groups_.back().elements += place.elements;
        } else {
            groups_.push_back({place.offset, place.elements, factor, decay, table});
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
        }
    });
    for (const Group& group : groups_) update_group(exec, store, group);
    store.refresh_compute(exec);
}

void Optimizer::update_group(Exec& exec, ParameterStore& store, const Group& group) const {
    kernels::AdamwOptions options{options_.beta1, options_.beta2, options_.eps, group.lr_factor, group.decay};
    visit(exec, store.master().dtype(), [&]<class D, class S>(On<D, S>) {
        if constexpr (!std::is_same_v<S, bf16>) {
            auto rows = [&](const Tensor& flat) { return store.view(flat, *group.table).template rows<S>(); };
            auto start = [&](const Tensor& flat) { return flat.data<S>() + group.offset; };
            if (group.table != nullptr) {
                kernels::adamw_touched<D, S>(exec, rows(store.master()), rows(store.gradient()), rows(store.moment1()),
                                             rows(store.moment2()), options);
            } else {
                kernels::adamw<D, S>(exec, start(store.master()), start(store.gradient()), start(store.moment1()), start(store.moment2()),
                                     group.elements, options);
            }
        }
    });
}

double Optimizer::gradient_norm(Exec& exec) const { return to_host<double>(exec, norm_)[0]; }

}  // namespace nn
