#include "apps/comm_check.h"

#include "apps/rank_values.h"
#include "engine/base/philox.h"
#include "engine/comm/shares.h"
#include "engine/io/manifest.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include <fmt/ranges.h>

namespace apps {

using namespace engine;

namespace {

constexpr Size kTreeElements = 1031;
constexpr int kLeaves = 64;

std::vector<int> ranks_that_say(Exec& exec, bool wrong) {
    std::vector<double> all = values_of_ranks(exec, {wrong ? 1.0 : 0.0});
    std::vector<int> ranks;
    for (std::size_t r = 0; r < all.size(); ++r) {
        if (all[r] != 0) ranks.push_back(static_cast<int>(r));
    }
    // Where even this gather is wrong, `any` is the second witness.
    if (exec.communicator->any(wrong) && ranks.empty()) ranks.push_back(-1);
    return ranks;
}

std::vector<double> integers(Size count, int rank, int ranks, Dtype dtype, bool for_sum) {
    std::vector<double> values(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < values.size(); ++i) {
        auto r = static_cast<std::size_t>(rank), n = static_cast<std::size_t>(ranks);
        if (!for_sum) {
            values[i] = static_cast<double>((7 * r + 13 * i) % 128);
        } else if (dtype == Dtype::bf16) {
            // 8 bits of fraction: one rank has all of an element's sum.
            values[i] = i % n == r ? static_cast<double>(i % 17) - 8 : 0;
        } else {
            values[i] = static_cast<double>((5 * r + 3 * i) % 17) - 8;
        }
    }
    return values;
}

bool gather_is_wrong(Exec& exec, const Shape& shape, Dtype dtype) {
    int ranks = rank_count(exec), rank = exec.communicator->rank();
    Tensor part(exec, shape, dtype), whole = rows_like(exec, ranks * shape.rows(), part);
    copy_from_host(exec, part, integers(shape.elements(), rank, ranks, dtype, false));
    exec.communicator->all_gather(exec, whole, part);
    std::vector<double> expected;
    for (int r = 0; r < ranks; ++r) {
        std::vector<double> rows = integers(shape.elements(), r, ranks, dtype, false);
        expected.insert(expected.end(), rows.begin(), rows.end());
    }
    return to_host<double>(exec, whole) != expected;
}

bool sum_is_wrong(Exec& exec, bool tree, const Shape& shape, Dtype dtype) {
    int ranks = rank_count(exec);
    Tensor sum(exec, shape, dtype);
    copy_from_host(exec, sum, integers(shape.elements(), exec.communicator->rank(), ranks, dtype, true));
    tree ? exec.communicator->tree_sum(exec, sum) : exec.communicator->plain_sum(exec, sum);
    std::vector<double> expected(static_cast<std::size_t>(shape.elements()));
    for (int r = 0; r < ranks; ++r) {
        std::vector<double> part = integers(shape.elements(), r, ranks, dtype, true);
        for (std::size_t i = 0; i < part.size(); ++i) expected[i] += part[i];
    }
    return to_host<double>(exec, sum) != expected;
}

// Between 2⁻²⁰ and 2²⁰, either sign: any other order of the sum rounds otherwise.
template <class T>
T leaf(int shard, Size i) {
    std::uint32_t bits = random_bits(5, 0, 79, static_cast<std::uint64_t>(shard * kTreeElements + i));
    return static_cast<T>(std::ldexp((to_uniform(bits) + 0.5) * ((bits & 1) != 0 ? 1 : -1), static_cast<int>(bits >> 1 & 31) - 16));
}

// The aligned tree over leaves [first, first + count).
template <class T>
T root(int first, int count, Size i) {
    if (count == 1) return leaf<T>(first, i);
    int left = 1;
    while (left * 2 < count) left *= 2;
    return root<T>(first, left, i) + root<T>(first + left, count - left, i);
}

template <class T>
std::vector<T> roots(int first, int count) {
    std::vector<T> values;
    for (Size i = 0; i < kTreeElements; ++i) values.push_back(root<T>(first, count, i));
    return values;
}

template <class T>
bool tree_is_wrong(Exec exec, std::uint64_t* hash) {
    int ranks = rank_count(exec), leaves = std::max(kLeaves, static_cast<int>(std::bit_ceil(static_cast<unsigned>(ranks))));
    exec.shards = share_of(exec.communicator->rank(), ranks, leaves);
    Tensor sum = from_host(exec, {kTreeElements}, dtype_of<T>(), roots<T>(exec.shards.first, exec.shards.count));
    exec.communicator->tree_sum(exec, sum);
    std::vector<T> result = to_host<T>(exec, sum), expected = roots<T>(0, leaves);
    auto bytes = [](const std::vector<T>& v) { return std::string_view(reinterpret_cast<const char*>(v.data()), v.size() * sizeof(T)); };
    *hash = io::fnv1a(bytes(result));
    return bytes(result) != bytes(expected);
}

// Shares of 2·ranks − 1 micro-shards, which cannot be equal above one rank.
bool uneven_gather_is_wrong(Exec exec) {
    constexpr Size kRows = 3, kColumns = 5;
    int ranks = rank_count(exec), total = 2 * ranks - 1;
    exec.shards = share_of(exec.communicator->rank(), ranks, total);
    std::vector<float> all(static_cast<std::size_t>(total * kRows * kColumns));
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<float>(i % 251);
    auto begin = all.begin() + exec.shards.first * kRows * kColumns;
    Tensor part = from_host(exec, {exec.shards.count * kRows, kColumns}, Dtype::f32,
                            std::vector<float>(begin, begin + exec.shards.count * kRows * kColumns));
    Tensor whole = rows_like(exec, total * kRows, part);
    gather_shares(exec, whole, part);
    return to_host<float>(exec, whole) != all;
}

bool any_is_wrong(Exec& exec) {
    Communicator& ranks = *exec.communicator;
    bool none = ranks.any(false), last = ranks.any(ranks.rank() == ranks.size() - 1), first = ranks.any(ranks.rank() == 0);
    return none || !last || !first;
}

}  // namespace

std::vector<std::string> CommChecks::failures() const {
    std::vector<std::string> told;
    for (const CommCheck& check : checks) {
        if (!check.exact())
            told.push_back(fmt::format("{} of {} on ranks {}", check.collective, check.what, fmt::join(check.wrong_ranks, ", ")));
    }
    return told;
}

CommChecks check_collectives(Exec& exec) {
    CommChecks result;
    auto add = [&](const char* collective, const std::string& what, bool wrong) {
        result.checks.push_back({collective, what, ranks_that_say(exec, wrong)});
    };
    std::vector<Dtype> floating{Dtype::f32, Dtype::bf16};
    if (exec.device.kind != DeviceKind::cuda) floating.push_back(Dtype::f64);
    for (const Shape& shape : {Shape{1, 1}, Shape{3, 7}, Shape{1, 4099}, Shape{37, 1031}}) {
        auto what = [&](Dtype dtype) { return fmt::format("({}, {}) {}", shape.rows(), shape.columns(), dtype_name(dtype)); };
        for (Dtype dtype : floating) {
            add("all_gather", what(dtype), gather_is_wrong(exec, shape, dtype));
            add("tree_sum", what(dtype), sum_is_wrong(exec, true, shape, dtype));
            add("plain_sum", what(dtype), sum_is_wrong(exec, false, shape, dtype));
        }
    }
    add("gather_shares", "uneven shares", uneven_gather_is_wrong(exec));
    add("any", "one rank's word", any_is_wrong(exec));
    std::uint64_t hash_of_double = 0;
    add("tree_sum", "the aligned tree, float32", tree_is_wrong<float>(exec, &result.tree_hash));
    if (exec.device.kind != DeviceKind::cuda) {
        add("tree_sum", "the aligned tree, float64", tree_is_wrong<double>(exec, &hash_of_double));
    }
    return result;
}

}  // namespace apps
