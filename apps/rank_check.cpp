#include "apps/rank_check.h"

#include "apps/rank_group.h"
#include "engine/comm/shares.h"
#include "engine/io/manifest.h"
#include "engine/tensor/transfer.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>

namespace apps {

using namespace engine;

namespace {

std::uint64_t hash_of(const Exec& exec, const Tensor& weights) {
    std::vector<double> values = to_host<double>(exec, weights);
    return io::fnv1a({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double)});
}

std::vector<std::uint64_t> hashes_of_ranks(Exec& exec, std::uint64_t own) {
    std::vector<std::int32_t> halves(2);
    std::memcpy(halves.data(), &own, sizeof own);
    Tensor whole(exec, {rank_count(exec), 2}, Dtype::i32);
    exec.communicator->all_gather(exec, whole, from_host(exec, {1, 2}, Dtype::i32, halves));
    std::vector<std::int32_t> all = to_host<std::int32_t>(exec, whole);
    std::vector<std::uint64_t> hashes(all.size() / 2);
    std::memcpy(hashes.data(), all.data(), hashes.size() * sizeof own);
    return hashes;
}

// Throws where one of these hashes, of ranks that should hold the same weights, differs.
void expect_equal(const std::vector<std::pair<int, std::uint64_t>>& hash_of_rank, std::int64_t step) {
    std::map<std::uint64_t, int> counts;
    for (const auto& [rank, hash] : hash_of_rank) ++counts[hash];
    if (counts.size() == 1) return;
    auto most = std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    bool tie = std::count_if(counts.begin(), counts.end(), [&](const auto& each) { return each.second == most->second; }) > 1;
    std::string told;
    for (const auto& [rank, hash] : hash_of_rank) {
        if (tie || hash != most->first) told += fmt::format("{}rank {} has {:016x}", told.empty() ? "" : ", ", rank, hash);
    }
    throw AgreedError(
        fmt::format("[ranks] weights differ at step {}: {}{}; hint: a fault of that machine or a bug; the same command goes on from the "
                    "last checkpoint",
                    step, told, tie ? "" : fmt::format(", the others {:016x}", most->first)));
}

}  // namespace

void check_equal_weights(Exec& exec, const nn::ParameterStore& store, std::int64_t step) {
    if (exec.communicator == nullptr) return;
    for (const nn::ParameterStore::Segment& segment : store.segments_of_values()) {
        Tensor weights = store.compute().view_at(segment.range.first, {segment.range.elements}, segment.range.elements);
        std::vector<std::uint64_t> hashes = hashes_of_ranks(exec, hash_of(exec, weights));
        for (int place = 0; place < segment.sharers; ++place) {
            std::vector<std::pair<int, std::uint64_t>> same;
            for (int rank : replicas_of(place, rank_count(exec), segment.sharers)) {
                same.emplace_back(rank, hashes[static_cast<std::size_t>(rank)]);
            }
            expect_equal(same, step);
        }
    }
}

void drill_fault(Exec& exec, const nn::ParameterStore& store, std::int64_t step) {
    const char* drill = std::getenv("MOEGRAD_FAULT");
    if (drill == nullptr || exec.communicator == nullptr) return;
    std::string kind = drill, at = fmt::format("{}:{}:", exec.communicator->rank(), step);
    if (!kind.starts_with(at)) return;
    const Tensor& weights = store.compute();
    std::vector<double> values = to_host<double>(exec, weights);
    if (kind.substr(at.size()) == "nan") {
        std::fill(values.begin(), values.end(), std::nan(""));
    } else {
        values[0] *= 1 + std::ldexp(1.0, store.dtype() == Dtype::bf16 ? -7 : -22);
    }
    copy_from_host(exec, weights, values);
}

}  // namespace apps
