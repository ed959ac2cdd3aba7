#include "apps/routing_counts.h"

#include "engine/base/error.h"

#include <algorithm>
#include <cmath>

namespace apps {

RoutingShape routing_shape(const nn::Routing& routing, std::int64_t sequence_length) {
    if (!routing.ids.defined()) return {};
    const engine::Shape& ids = routing.ids.shape();
    RoutingShape shape{.cells = routing.cells, .choices = ids.elements() / ids[0], .sequence_length = sequence_length};
    if (shape.cells == 0 && routing.logits_NE.defined()) shape.cells = routing.logits_NE.size(-1);
    bool product_keys = ids.dims() == 3;
    if (product_keys) shape.sub_keys = std::llround(std::sqrt(static_cast<double>(shape.cells)));
    return shape;
}

RoutingCounts::RoutingCounts(const RoutingShape& shape)
    : shape_(shape), load_(static_cast<std::size_t>(shape.cells)), gate_mass_(static_cast<std::size_t>(shape.cells)) {
    for (auto& half : halves_) half.resize(static_cast<std::size_t>(shape.sub_keys));
}

void RoutingCounts::add(const std::vector<std::int32_t>& ids, const std::vector<double>& gates) {
    auto per_row = static_cast<std::size_t>(shape_.choices);
    engine::expect(ids.size() == gates.size() && ids.size() % per_row == 0, "routing",
                   "choices must be whole rows: got {} ids and {} gates, {} a row", ids.size(), gates.size(), per_row);
    for (std::size_t i = 0; i < ids.size(); ++i) {
        if (i % per_row == 0) count_repeated(ids.data() + i);
        if (ids[i] < 0) continue;
        auto cell = static_cast<std::size_t>(ids[i]);
        ++choices_, ++load_[cell];
        gate_mass_[cell] += gates[i];
        without_gate_ += gates[i] == 0;
        if (shape_.sub_keys > 0) {
            ++halves_[0][cell / static_cast<std::size_t>(shape_.sub_keys)];
            ++halves_[1][cell % static_cast<std::size_t>(shape_.sub_keys)];
        }
    }
    std::int64_t per_sequence = shape_.sequence_length * shape_.choices, all = static_cast<std::int64_t>(ids.size());
    if (per_sequence == 0) return;
    for (std::int64_t first = 0; first + per_sequence <= all; first += per_sequence) count_sequence(ids.data() + first, per_sequence);
}

void RoutingCounts::count_repeated(const std::int32_t* ids) {
    seen_.assign(ids, ids + shape_.choices);
    std::sort(seen_.begin(), seen_.end());
    for (std::size_t i = 1; i < seen_.size(); ++i) repeated_ += seen_[i] >= 0 && seen_[i] == seen_[i - 1];
}

void RoutingCounts::count_sequence(const std::int32_t* ids, std::int64_t count) {
    seen_.assign(ids, ids + count);
    std::erase_if(seen_, [](std::int32_t id) { return id < 0; });
    if (seen_.empty()) return;
    std::sort(seen_.begin(), seen_.end());
    auto total = static_cast<double>(seen_.size()), cells = static_cast<double>(shape_.cells);
    double entropy = 0, largest = 0, used = 0;
    for (auto first = seen_.begin(); first != seen_.end();) {
        auto last = std::upper_bound(first, seen_.end(), *first);
        double share = static_cast<double>(last - first) / total;
        entropy -= share * std::log(share);
        largest = std::max(largest, share);
        used += 1;
        first = last;
    }
    ++sequences_.count;
    sequences_.entropy += entropy;
    sequences_.max_violation += cells * largest - 1;
    sequences_.dead += cells - used;
}

}  // namespace apps
