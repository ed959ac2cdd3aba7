#include "nn/parameter_store.h"

#include "engine/base/visit.h"
#include "engine/comm/communicator.h"
#include "engine/kernels/cast.h"
#include "engine/kernels/elementwise.h"
#include "engine/kernels/strips.h"
#include "engine/memory/memory_log.h"
#include "engine/tensor/transfer.h"
#include "nn/init.h"

#include <algorithm>
#include <utility>

namespace nn {

using namespace engine;

namespace {

constexpr Size kPlaceAlignment = 16;

constexpr Size padded(Size elements) { return (elements + kPlaceAlignment - 1) / kPlaceAlignment * kPlaceAlignment; }

Size padded_elements(const Shape& shape, Dtype dtype) {
    Size stride = shape.dims() <= 1 ? shape.columns() : row_stride_for(shape.columns(), dtype);
    return padded(shape.rows() * stride);
}

Shape with_first(const Shape& shape, Size first) {
    Shape result{first};
    for (int i = 1; i < shape.dims(); ++i) result.append(shape[i]);
    return result;
}

}  // namespace

void check_columns(const Parameter& table, int ranks) {
    Size unit = kernels::kStripUnit * ranks, columns = table.shape.columns(), below = columns / unit * unit;
    expect(kernels::strips_divide(columns, ranks), "parallel",
           "{} ranks cannot share the columns of {}: got {}, expected a multiple of {}; "
           "hint: the nearest model.channels is {}",
           ranks, table.name, columns, unit, below > 0 && columns - below <= unit / 2 ? below : below + unit);
}

ParameterStore::ParameterStore(Exec& exec, Module& module, Dtype dtype, std::uint64_t seed, bool trains, Values values, Cut cut)
    : dtype_(dtype) {
    MemoryScope scope("parameters");
    int ranks = cut == Cut::over_ranks ? rank_count(exec) : 1;
    place_all(exec, module, ranks);
    own_ = ranks > 1 ? range_of(exec.communicator->rank(), ranks) : Range{0, unshared_};
    Dtype wide = sum_dtype(dtype);
    Size part = end_of_cut_ / ranks, updated = part + shared_elements();
    master_is_cut_ = ranks > 1 && dtype != wide;
    Tensor storage = zeros(exec, {end_of_cut_ + shared_elements()}, dtype);
    compute_ = storage.view_at(0, {elements_}, elements_);
    parts_ = storage.view_at(0, {ranks, part}, part);
    master_ = dtype == wide ? compute_ : zeros(exec, {master_is_cut_ ? updated : elements_}, wide);
    if (trains) {
        pass_gradient_ = zeros(exec, {segments_.back().range.end()}, wide);
        gradient_ = pass_gradient_.view_at(0, {elements_}, elements_);
        moment1_ = zeros(exec, {updated}, wide);
        moment2_ = zeros(exec, {updated}, wide);
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

// What this rank holds of a parameter; its offset is still to come.
ParameterStore::Place ParameterStore::placed(const Exec& exec, Parameter& parameter) const {
    Place place{.parameter = &parameter, .shape = parameter.shape};
    if (parameter.split == Split::by_expert) place.sharers = exec.sharing.experts;
    if (place.sharers > 1) {
        Size all = parameter.shape[0];
        expect(all % place.sharers == 0, "parallel", "ranks cannot share {} evenly: got {} experts for {} ranks; hint: set parallel.expert",
               parameter.name, all, place.sharers);
        place.shape = with_first(parameter.shape, all / place.sharers);
        place.first = exec.sharing.ranks->rank() % place.sharers * place.shape[0];
    }
    if (parameter.split == Split::by_column && exec.sharing.tables > 1) {
        place.sharers = exec.sharing.tables;
        check_columns(parameter, place.sharers);
        place.shape = {parameter.shape[0], parameter.shape[1] / place.sharers};
        place.column = exec.sharing.ranks->rank() % place.sharers * place.shape[1];
    }
    place.elements = padded_elements(place.shape, dtype_);
    return place;
}

// Those that ranks may divide stand last, divided or not, and then the shared ones behind the cut: sums in the order of places are then the
// same in every layout.
void ParameterStore::place_all(const Exec& exec, Module& module, int ranks) {
    std::vector<Parameter*> parameters, uses;
    module.collect("", parameters, states_);
    module.collect_uses(uses);
    std::ranges::stable_sort(parameters, {}, &Parameter::split);
    std::ranges::stable_sort(uses, {}, &Parameter::split);
    for (Parameter* parameter : parameters) places_.push_back(placed(exec, *parameter));
    for (const Place& place : places_) unshared_ += place.sharers == 1 ? place.elements : 0;
    end_of_cut_ = ranks * padded((unshared_ + ranks - 1) / ranks);
    Size next = 0, shared = end_of_cut_;
    for (Place& place : places_) {
        Size& offset = place.sharers == 1 ? next : shared;
        place.offset = std::exchange(offset, offset + place.elements);
    }
    elements_ = shared > end_of_cut_ ? shared : unshared_;
    next = elements_;
    for (Parameter* use : uses) {
        uses_.push_back(placed(exec, *use));
        uses_.back().offset = std::exchange(next, next + uses_.back().elements);
    }
    segments_ = {{{0, shared_elements() > 0 ? end_of_cut_ : unshared_}, 1}};
    for (const Place& place : places_) {
        if (place.sharers > 1) append_segment(place);
    }
    for (const Place& use : uses_) append_segment(use);
}

// The place begins where the last segment ends.
void ParameterStore::append_segment(const Place& place) {
    if (segments_.back().sharers != place.sharers) segments_.push_back({{place.offset, 0}, place.sharers});
    segments_.back().range.elements += place.elements;
}

std::vector<ParameterStore::Segment> ParameterStore::segments_of_values() const {
    std::vector<Segment> result;
    for (const Segment& segment : segments_) {
        Range range{segment.range.first, std::min(segment.range.end(), elements_) - segment.range.first};
        if (range.elements > 0) result.push_back({range, segment.sharers});
    }
    return result;
}

ParameterStore::Range ParameterStore::range_of(int rank, int ranks) const {
    Size part = padded((unshared_ + ranks - 1) / ranks), first = std::min(rank * part, unshared_);
    return {first, std::min(part, unshared_ - first)};
}

ParameterStore::Range ParameterStore::updated(const Range& range) const {
    return range.first >= end_of_cut_ ? range : overlap(range, own_);
}

Size ParameterStore::index_in_moments(Size element) const {
    return element < end_of_cut_ ? element - own_.first : element - end_of_cut_ + parts_.size(1);
}

ParameterStore::Range ParameterStore::values_of(const Place& place, const Range& range) const {
    Size stride = view(gradient_, place).row_stride();
    auto value_at = [&](Size element) {
        Size within = std::clamp<Size>(element - place.offset, 0, place.elements);
        return std::min(within / stride * place.shape.columns() + std::min(within % stride, place.shape.columns()), place.shape.elements());
    };
    Size first = value_at(range.first);
    return {place.first_value() + first, value_at(range.end()) - first};
}

Size ParameterStore::parameter_count() const {
    Size count = 0;
    for (const Place& place : places_) count += place.parameter->shape.elements();
    return count;
}

Tensor ParameterStore::view(const Tensor& flat, const Place& place) const {
    const Shape& shape = place.shape;
    return flat.view_at(place.offset, shape, shape.dims() <= 1 ? shape.columns() : row_stride_for(shape.columns(), dtype_));
}

void ParameterStore::begin_pass() {
    for (const auto* places : {&places_, &uses_}) {
        for (const Place& place : *places) place.parameter->var.forget_grad();
    }
}

void ParameterStore::end_pass(Exec& exec) {
    for (const auto* places : {&places_, &uses_}) {
        for (const Place& place : *places) end_gradient(exec, place);
    }
}

void ParameterStore::end_gradient(Exec& exec, const Place& place) const {
    if (!place.parameter->var.has_grad()) fill_zero(exec, view(pass_gradient_, place));
}

const ParameterStore::Place& ParameterStore::owner_of(const Place& use) const {
    return *std::ranges::find(places_, use.parameter->owner, &Place::parameter);
}

void ParameterStore::add_uses(Exec& exec) {
    for (const Place& use : uses_) {
        Tensor sum = view(gradient_, owner_of(use));
        Tensor share = view(pass_gradient_, use);
        visit(exec, sum.dtype(), [&]<class D, class T>(On<D, T>) { kernels::add_into<D, T>(exec, sum.rows<T>(), share.rows<T>()); });
    }
}

void ParameterStore::set_master(Exec& exec, const Place& place, const Tensor& value) {
    Size row = place.first * value.shape().rows() / value.size(0);
    Tensor held = value.view_at(row * value.row_stride() + place.column, place.shape, value.row_stride());
    Range range = updated({place.offset, place.elements});
    if (!master_is_cut_ || range.elements == place.elements) {
        Place in_master = place;
        in_master.offset = index_in_master(place.offset);
        return copy(exec, view(master_, in_master), held);
    }
    if (range.elements == 0) return;
    Tensor whole = zeros(exec, {place.elements}, value.dtype());
    copy(exec, view(whole.view_at(-place.offset, {elements_}, elements_), place), held);
    copy(exec, master_.view_at(index_in_master(range.first), {range.elements}, range.elements),
         whole.view_at(range.first - place.offset, {range.elements}, range.elements));
}

void ParameterStore::share_values(Exec& exec) {
    if (dtype_ == Dtype::bf16) {
        auto cast = [&](const Range& range) {
            Tensor to = compute_.view_at(range.first, {range.elements}, range.elements),
                   from = master_.view_at(index_in_master(range.first), to.shape(), range.elements);
            visit_device(exec, [&]<class D>(D) { kernels::cast<D, bf16, float>(exec, to.rows<bf16>(), from.rows<float>()); });
        };
        if (own_.elements > 0) cast(own_);
        if (shared_elements() > 0) cast({end_of_cut_, shared_elements()});
    }
    Size ranks = parts_.size(0);
    if (ranks > 1) exec.communicator->all_gather(exec, parts_, parts_.row_range(exec.communicator->rank(), 1));
}

Size ParameterStore::bytes_of_values() const {
    return parts_.bytes() + shared_elements() * element_bytes(dtype_) + (dtype_ == sum_dtype(dtype_) ? 0 : master_.bytes());
}

std::vector<State> ParameterStore::copy_of_states() const {
    std::vector<State> states;
    for (const State* state : states_) states.push_back(*state);
    return states;
}

void ParameterStore::take_back_states(const std::vector<State>& states) {
    for (std::size_t i = 0; i < states.size(); ++i) *states_[i] = states[i];
}

void ParameterStore::advance_states() {
    for (State* state : states_) {
        if (state->next.defined()) std::swap(state->value, state->next);
        state->next = state->sums = Tensor();
        state->rows = 0;
    }
}

}  // namespace nn
