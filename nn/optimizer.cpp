#include "nn/optimizer.h"

#include <cmath>

#include "engine/base/visit.h"
#include "engine/kernels/adamw.h"
#include "engine/kernels/squared_norm.h"
#include "engine/kernels/step_scalars.h"
#include "engine/memory/memory_log.h"
#include "engine/tensor/transfer.h"

namespace nn {

using namespace engine;

Optimizer::Optimizer(Exec& exec, const ParameterStore& store, const OptimizerOptions& options) : options_(options) {
    MemoryScope scope("optimizer");
    for (const auto& [part, factor] : options.lr_scale) {
        bool known = false;
        for (const ParameterStore::Place& place : store.places()) known = known || place.parameter->part == part;
        expect(known, "train", "no parameter belongs to the part named in lr_scale: got \"{}\"; hint: remove train.lr_scale.{}", part, part);
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
    norm_ = zeros(exec, {1}, Dtype::f32);
    exec.scalars = static_cast<const StepScalars*>(scalars_.address());
}
