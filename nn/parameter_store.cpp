#include "nn/parameter_store.h"

#include "engine/base/visit.h"
#include "engine/comm/communicator.h"
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

constexpr Size padded(Size elements) { return (elements + kPlaceAlignment - 1) / kPlaceAlignment * kPlaceAlignment; }

Size padded_elements(const Shape& shape, Dtype dtype) {
    Size stride = shape.dims() <= 1 ? shape.columns() : row_stride_for(shape.columns(), dtype);
    return padded(shape.rows() * stride);
}

}  // namespace

ParameterStore::ParameterStore(Exec& exec, Module& module, Dtype dtype, std::uint64_t seed, bool trains, Values values, Cut cut)
    : dtype_(dtype) {
    MemoryScope scope("parameters");
    std::vector<Parameter*> parameters;
    module.collect("", parameters, states_);
    for (Parameter* parameter : parameters) place(*parameter, places_, elements_);
    std::vector<Parameter*> uses;
    module.collect_uses(uses);
    Size all_uses = elements_;
    for (Parameter* use : uses) place(*use, uses_, all_uses);
    Dtype wide = sum_dtype(dtype);
    Size ranks = cut == Cut::over_ranks ? rank_count(exec) : 1;
    own_ = ranks > 1 ? range_of(exec.communicator->rank(), static_cast<int>(ranks)) : Range{0, elements_};
    Size part = range_of(0, static_cast<int>(ranks)).elements;
    master_is_cut_ = ranks > 1 && dtype != wide;
    parts_ = zeros(exec, {ranks, part}, dtype);
    compute_ = parts_.view_at(0, {elements_}, elements_);
    master_ = dtype == wide ? compute_ : zeros(exec, {master_is_cut_ ? part : elements_}, wide);
    if (trains) {
        pass_gradient_ = zeros(exec, {all_uses}, wide);
        gradient_ = pass_gradient_.view_at(0, {elements_}, elements_);
        moment1_ = zeros(exec, {part}, wide);
        moment2_ = zeros(exec, {part}, wide);
    }
    for (const Place& place : places_) {
        Parameter& parameter = *place.parameter;
        if (values == Values::initial) {
            set_master(exec, place,
                       from_host(exec, parameter.shape, wide, parameter.initial(parameter.shape, seed_for(seed, parameter.name))));
        }
        Tensor value = view(compute_, place);
        parameter.var = trains ? Var::parameter(value, view(gradient_, place)) : Var(value);
    }
    for (const Place& use : uses_) {
        Tensor value = use.parameter->owner->var.value();
        use.parameter->var = trains ? Var::parameter(value, view(pass_gradient_, use)) : Var(value);
    }
    share_values(exec);
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

ParameterStore::Range ParameterStore::range_of(int rank, int ranks) const {
    Size part = padded((elements_ + ranks - 1) / ranks), first = std::min(rank * part, elements_);
    return {first, std::min(part, elements_ - first)};
}

ParameterStore::Range ParameterStore::values_of(const Place& place, const Range& range) const {
    const Shape& shape = place.parameter->shape;
    Size stride = view(gradient_, place).row_stride();
    auto value_at = [&](Size element) {
        Size within = std::clamp<Size>(element - place.offset, 0, place.elements);
        return std::min(within / stride * shape.columns() + std::min(within % stride, shape.columns()), shape.elements());
    };
    Size first = value_at(range.first);
    return {first, value_at(range.end()) - first};
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

void ParameterStore::set_master(Exec& exec, const Place& place, const Tensor& value) {
    if (!master_is_cut_) return copy(exec, view(master_, place), value);
    Size first = std::max(place.offset, own_.first), last = std::min(place.offset + place.elements, own_.end());
    if (first >= last) return;
    Tensor whole = zeros(exec, {place.elements}, value.dtype());
    copy(exec, view(whole.view_at(-place.offset, {elements_}, elements_), place), value);
    copy(exec, master_.view_at(first - own_.first, {last - first}, last - first),
         whole.view_at(first - place.offset, {last - first}, last - first));
}

void ParameterStore::share_values(Exec& exec) {
    if (dtype_ == Dtype::bf16) {
        Tensor to = compute_.view_at(own_.first, {own_.elements}, own_.elements), from = master_.view_at(0, to.shape(), own_.elements);
        visit_device(exec, [&]<class D>(D) { kernels::cast<D, bf16, float>(exec, to.rows<bf16>(), from.rows<float>()); });
    }
    Size ranks = parts_.size(0);
    if (ranks > 1) exec.communicator->all_gather(exec, parts_, parts_.row_range(exec.communicator->rank(), 1));
}

Size ParameterStore::bytes_of_values() const { return parts_.bytes() + (dtype_ == sum_dtype(dtype_) ? 0 : master_.bytes()); }

void ParameterStore::advance_states() {
    for (State* state : states_) {
        if (state->next.defined()) std::swap(state->value, state->next);
        state->next = Tensor();
    }
}

}  // namespace nn
