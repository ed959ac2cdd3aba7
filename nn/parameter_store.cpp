#include "nn/parameter_store.h"

#include "engine/base/visit.h"
#include "engine/kernels/cast.h"
#include "engine/kernels/elementwise.h"
#include "engine/memory/memory_log.h"
#include "engine/tensor/transfer.h"
#include "nn/init.h"

#include <algorithm>

namespace nn {

using namespace engine;

namespace {

constexpr Size kPlaceAlignment = 16;

Size padded_elements(const Shape& shape, Dtype dtype) {
    Size stride = shape.dims() <= 1 ? shape.columns() : row_stride_for(shape.columns(), dtype);
    return (shape.rows() * stride + kPlaceAlignment - 1) / kPlaceAlignment * kPlaceAlignment;
}

}  // namespace

ParameterStore::ParameterStore(Exec& exec, Module& module, Dtype dtype, std::uint64_t seed, bool trains, Values values) : dtype_(dtype) {
    MemoryScope scope("parameters");
    std::vector<Parameter*> parameters;
    module.collect("", parameters, states_);
    for (Parameter* parameter : parameters) place(*parameter, places_, elements_);
    std::vector<Parameter*> uses;
    module.collect_uses(uses);
    Size all_uses = elements_;
    for (Parameter* use : uses) place(*use, uses_, all_uses);
    Dtype wide = sum_dtype(dtype);
    master_ = zeros(exec, {elements_}, wide);
    compute_ = dtype == wide ? master_ : zeros(exec, {elements_}, dtype);
    if (trains) {
        pass_gradient_ = zeros(exec, {all_uses}, wide);
        gradient_ = pass_gradient_.view_at(0, {elements_}, elements_);
        moment1_ = zeros(exec, {elements_}, wide);
        moment2_ = zeros(exec, {elements_}, wide);
    }
    for (const Place& place : places_) {
        Parameter& parameter = *place.parameter;
        if (values == Values::initial) {
            copy_from_host(exec, view(master_, place), parameter.initial(parameter.shape, seed_for(seed, parameter.name)));
        }
        Tensor value = view(compute_, place);
        parameter.var = trains ? Var::parameter(value, view(gradient_, place)) : Var(value);
    }
    for (const Place& use : uses_) {
        Tensor value = use.parameter->owner->var.value();
        use.parameter->var = trains ? Var::parameter(value, view(pass_gradient_, use)) : Var(value);
    }
    refresh_compute(exec);
    for (State* state : states_) {
        if (is_floating(state->dtype)) state->dtype = wide;
        state->value = zeros(exec, state->shape, state->dtype);
        if (values == Values::initial) copy_from_host(exec, state->value, state->initial(state->shape, seed_for(seed, state->name)));
    }
}

void ParameterStore::place(Parameter& parameter, std::vector<Place>& places, Size& elements) const {
    Size count = padded_elements(parameter.shape, dtype_);
    places.push_back({&parameter, elements, count});
    elements += count;
}

Size ParameterStore::parameter_count() const {
    Size count = 0;
    for (const Place& place : places_) count += place.parameter->shape.elements();
    return count;
}

Tensor ParameterStore::view(const Tensor& flat, const Place& place) const {
    const Shape& shape = place.parameter->shape;
    return flat.view_at(place.offset, shape, shape.dims() <= 1 ? shape.columns() : row_stride_for(shape.columns(), dtype_));
}

void ParameterStore::begin_pass() {
    for (const auto* places : {&places_, &uses_}) {
        for (const Place& place : *places) place.parameter->var.forget_grad();
    }
}

void ParameterStore::end_pass(Exec& exec) {
    for (const auto* places : {&places_, &uses_}) {
        for (const Place& place : *places) {
            if (!place.parameter->var.has_grad()) fill_zero(exec, view(pass_gradient_, place));
        }
    }
}

void ParameterStore::add_uses(Exec& exec) {
    for (const Place& use : uses_) {
        Tensor sum = view(gradient_, *std::ranges::find(places_, use.parameter->owner, &Place::parameter));
        Tensor share = view(pass_gradient_, use);
        visit(exec, sum.dtype(), [&]<class D, class T>(On<D, T>) { kernels::add_into<D, T>(exec, sum.rows<T>(), share.rows<T>()); });
    }
}

void ParameterStore::refresh_compute(Exec& exec) {
    if (dtype_ != Dtype::bf16) return;
    visit_device(exec, [&]<class D>(D) { kernels::cast<D, bf16, float>(exec, compute_.rows<bf16>(), master_.rows<float>()); });
}

void ParameterStore::advance_states() {
    for (State* state : states_) {
        if (state->next.defined()) std::swap(state->value, state->next);
        state->next = Tensor();
    }
}

}  // namespace nn
