#include "nn/optimizer.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "engine/comm/rank_subset.h"
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
    for (const auto& each : factors) {
        const std::string& part = each.first;
        bool known = std::ranges::any_of(store.places(), [&](const auto& place) { return place.parameter->part == part; });
        expect(known, "train", "no parameter belongs to the part named in {}: got \"{}\"; hint: remove train.{}.{}", key, part, key, part);
    }
}

// Some rows' columns [column, column + columns).
struct Window {
    Size row, rows, column, columns;
};

// Elements [first, last) of a padded table: the rest of a row that begins before, whole rows, the beginning of a row that ends after.
std::vector<Window> windows(Size rows, Size columns, Size stride, Size first, Size last) {
    std::vector<Window> result;
    auto add = [&](Window window) {
        if (window.rows > 0 && window.columns > 0) result.push_back(window);
    };
    Size row = first / stride, column = first % stride;
    if (column > 0) {
        add({row, row < rows ? 1 : 0, column, std::min(columns, last - row * stride) - column});
        row += 1;
    }
    Size whole = std::max<Size>(0, std::min(last / stride, rows) - row);
    add({row, whole, 0, columns});
    row += whole;
    add({row, row < rows ? 1 : 0, 0, std::min(columns, last - row * stride)});
    return result;
}

// A range made longer on both sides to whole rows of tables.
ParameterStore::Range with_whole_rows(const ParameterStore& store, ParameterStore::Range range) {
    Size first = range.first, end = range.end();
    for (const ParameterStore::Place& place : store.places()) {
        if (!place.parameter->is_table) continue;
        Size stride = store.view(store.gradient(), place).row_stride(), last = place.offset + place.elements;
        if (place.offset < range.first && range.first < last) first = place.offset + (range.first - place.offset) / stride * stride;
        if (place.offset < range.end() && range.end() < last)
            end = std::max(end, std::min(last, place.offset + (range.end() - place.offset + stride - 1) / stride * stride));
    }
    return {first, end - first};
}

// A row is touched where any rank that shares the table's columns says so.
void add_over_sharers(Exec& exec, const Tensor& touched, int sharers) {
    if (sharers > 1) sharers_of(exec, sharers).tree_sum(exec, touched);
}

}  // namespace

Optimizer::Optimizer(Exec& exec, const ParameterStore& store, const OptimizerOptions& options) : options_(options), norm_(exec, store) {
    MemoryScope scope("optimizer");
    expect_parts(store, options.lr_scale, "lr_scale");
    expect_parts(store, options.decay_scale, "decay_scale");
    for (const ParameterStore::Place& place : store.places()) {
        const Parameter& parameter = *place.parameter;
        double factor = factor_of(parameter.part, options.lr_scale);
        double decay = parameter.decays ? options.weight_decay * factor_of(parameter.part, options.decay_scale) : 0.0;
        const ParameterStore::Place* table = options.touched_rows && parameter.is_table ? &place : nullptr;
        bool joins = !groups_.empty() && table == nullptr && groups_.back().table == nullptr && groups_.back().lr_factor == factor &&
                     groups_.back().decay == decay && groups_.back().sharers == place.sharers;
        if (joins) {
            groups_.back().range.elements += place.elements;
        } else {
            groups_.push_back({{place.offset, place.elements}, factor, decay, table, place.sharers});
        }
    }
    scalars_ = zeros(exec, {static_cast<Size>(sizeof(StepScalars) / sizeof(std::int32_t))}, Dtype::i32);
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
    norm_.update(exec, store, static_cast<StepScalars*>(scalars_.address()), options_.clip);
    for (const Group& group : groups_) update_group(exec, store, group);
    store.share_values(exec);
}

std::vector<std::vector<ParameterStore::Range>> Optimizer::needed_gradients(const ParameterStore& store) const {
    std::vector<std::vector<ParameterStore::Range>> needed;
    for (int rank = 0; rank < store.ranks_of_cut(); ++rank) {
        ParameterStore::Range own = store.range_of(rank, store.ranks_of_cut());
        if (own.elements > 0) own = with_whole_rows(store, {own.first, norm_.end_of_block(own.end() - 1) - own.first});
        needed.push_back({own});
        for (const ParameterStore::Place& use : store.uses()) {
            const ParameterStore::Place& owner = store.owner_of(use);
            ParameterStore::Range part = overlap(own, {owner.offset, owner.elements});
            needed.back().push_back({use.offset + part.first - owner.offset, part.elements});
        }
    }
    return needed;
}

kernels::AdamwOptions Optimizer::kernel_options(const Group& group) const {
    return {options_.beta1, options_.beta2, options_.eps, group.lr_factor, group.decay};
}

void Optimizer::update_group(Exec& exec, ParameterStore& store, const Group& group) const {
    ParameterStore::Range own = store.updated(group.range);
    if (own.elements == 0) return;
    if (group.table != nullptr) return update_table(exec, store, group, own);
    visit_sum(exec, store.master().dtype(), [&]<class D, class S>(On<D, S>) {
        auto moment = [&](const Tensor& moments) { return moments.data<S>() + store.index_in_moments(own.first); };
        kernels::adamw<D, S>(exec, store.master().data<S>() + store.index_in_master(own.first), store.gradient().data<S>() + own.first,
                             moment(store.moment1()), moment(store.moment2()), own.elements, kernel_options(group));
    });
}

void Optimizer::update_table(Exec& exec, ParameterStore& store, const Group& group, const ParameterStore::Range& own) const {
    Tensor gradient = store.view(store.gradient(), *group.table);
    Size stride = gradient.row_stride(), first = own.first - group.range.first;
    for (const Window& window : windows(gradient.shape().rows(), gradient.shape().columns(), stride, first, first + own.elements)) {
        Tensor touched(exec, {window.rows}, gradient.dtype()), rows = gradient.row_range(window.row, window.rows);
        visit_sum(exec, rows.dtype(),
                  [&]<class D, class S>(On<D, S>) { kernels::touched_rows<D, S>(exec, touched.data<S>(), rows.rows<S>()); });
        add_over_sharers(exec, touched, group.table->sharers);
        Size at = group.range.first + window.row * stride + window.column;
        auto part = [&](const Tensor& flat, Size element) { return flat.view_at(element, {window.rows, window.columns}, stride); };
        Tensor w = part(store.master(), store.index_in_master(at)), g = part(store.gradient(), at);
        Tensor m = part(store.moment1(), store.index_in_moments(at)), v = part(store.moment2(), store.index_in_moments(at));
        visit_sum(exec, w.dtype(), [&]<class D, class S>(On<D, S>) {
            kernels::adamw_touched<D, S>(exec, w.rows<S>(), g.rows<S>(), m.rows<S>(), v.rows<S>(), touched.data<S>(),
                                         kernel_options(group));
        });
    }
}

}  // namespace nn
