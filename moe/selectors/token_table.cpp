#include "moe/selectors/token_table.h"

#include "engine/base/error.h"
#include "engine/base/philox.h"
#include "engine/tensor/transfer.h"
#include "moe/ops/lookup.h"

#include <algorithm>
#include <numeric>

namespace moe {

using namespace engine;

namespace {

// `count` different numbers of [0, of), drawn as number `draw` of a seed: the first steps of a Fisher–Yates shuffle of `order`.
void draw_different(std::vector<Size>& order, Size count, std::uint64_t seed, std::uint64_t draw) {
    Size of = static_cast<Size>(order.size());
    for (Size i = 0; i < count; ++i) {
        std::uint64_t bits = philox(seed, draw, static_cast<std::uint64_t>(i)).value[0];
        Size j = i + static_cast<Size>((bits * static_cast<std::uint64_t>(of - i)) >> 32);
        std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(j)]);
    }
}

}  // namespace

std::vector<double> balanced_table(Size vocab, Size k, Size experts, const std::vector<std::int64_t>& counts, std::uint64_t seed) {
    auto count_of = [&](Size id) { return counts.empty() ? 1 : std::max<std::int64_t>(1, counts[static_cast<std::size_t>(id)]); };
    std::vector<Size> ids(static_cast<std::size_t>(vocab)), order(static_cast<std::size_t>(experts));
    std::iota(ids.begin(), ids.end(), Size{0});
    std::iota(order.begin(), order.end(), Size{0});
    std::stable_sort(ids.begin(), ids.end(), [&](Size a, Size b) { return count_of(a) > count_of(b); });
    std::vector<std::int64_t> loads(static_cast<std::size_t>(experts));
    std::vector<double> table(static_cast<std::size_t>(vocab * k));
    for (Size id : ids) {
        draw_different(order, experts, seed, static_cast<std::uint64_t>(id));
        std::stable_sort(order.begin(), order.end(),
                         [&](Size a, Size b) { return loads[static_cast<std::size_t>(a)] < loads[static_cast<std::size_t>(b)]; });
        for (Size j = 0; j < k; ++j) {
            Size expert = order[static_cast<std::size_t>(j)];
            table[static_cast<std::size_t>(id * k + j)] = static_cast<double>(expert);
            loads[static_cast<std::size_t>(expert)] += count_of(id);
        }
    }
    return table;
}

std::vector<double> random_table(Size vocab, Size k, Size experts, std::uint64_t seed) {
    std::vector<Size> order(static_cast<std::size_t>(experts));
    std::iota(order.begin(), order.end(), Size{0});
    std::vector<double> table;
    table.reserve(static_cast<std::size_t>(vocab * k));
    for (Size id = 0; id < vocab; ++id) {
        draw_different(order, k, seed, static_cast<std::uint64_t>(id));
        for (Size j = 0; j < k; ++j) table.push_back(static_cast<double>(order[static_cast<std::size_t>(j)]));
    }
    return table;
}

TokenTable::TokenTable(const ExpertsPlace& at, const nn::OptionTable& options, bool balanced)
    : experts_(at.experts), vocab_(options.size("vocab", {}, 1, 1 << 30)), k_(read_k(options, at.experts)) {
    expect(at.place.token_counts.empty() || static_cast<Size>(at.place.token_counts.size()) == vocab_, options.where(),
           "token counts do not fit: got {}, expected vocab = {}", at.place.token_counts.size(), vocab_);
    add(table_, "table", {vocab_, k_}, Dtype::i32,
        [balanced, E = experts_, counts = at.place.token_counts](const Shape& shape, std::uint64_t seed) {
            return balanced ? balanced_table(shape[0], shape[1], E, counts, seed) : random_table(shape[0], shape[1], E, seed);
        });
}

Selection TokenTable::select(Tape& tape, const Var& x_NC, const Var&, const nn::RowContext& context) {
    return {ops::lookup(tape.exec(), table_.value, context.token_ids_N, x_NC.shape().rows(), experts_)};
}

}  // namespace moe
