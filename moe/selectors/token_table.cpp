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
    std::vector<Size> ids(static_cast<std::size_t>(vocab)), shifts(static_cast<std::size_t>(experts - 1));
    std::iota(ids.begin(), ids.end(), Size{0});
    if (!counts.empty()) {
        std::stable_sort(ids.begin(), ids.end(),
                         [&](Size a, Size b) { return counts[static_cast<std::size_t>(a)] > counts[static_cast<std::size_t>(b)]; });
    }
    std::vector<double> table(static_cast<std::size_t>(vocab * k));
    for (Size p = 0; p < vocab; ++p) {
        if (p % experts == 0) {
            std::iota(shifts.begin(), shifts.end(), Size{1});
            draw_different(shifts, k - 1, seed, static_cast<std::uint64_t>(p / experts));
        }
        for (Size j = 0; j < k; ++j) {
            Size shift = j == 0 ? 0 : shifts[static_cast<std::size_t>(j - 1)];
            table[static_cast<std::size_t>(ids[static_cast<std::size_t>(p)] * k + j)] = static_cast<double>((p + shift) % experts);
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
