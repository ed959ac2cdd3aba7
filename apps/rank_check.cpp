#include "apps/rank_check.h"

#include "apps/rank_group.h"
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

}  // namespace

void check_equal_weights(Exec& exec, const nn::ParameterStore& store, std::int64_t step) {
    if (exec.communicator == nullptr) return;
    std::vector<std::uint64_t> hashes = hashes_of_ranks(exec, hash_of(exec, store.compute()));
    std::map<std::uint64_t, int> counts;
    for (std::uint64_t hash : hashes) ++counts[hash];
    if (counts.size() == 1) return;
    auto most = std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    bool tie = std::count_if(counts.begin(), counts.end(), [&](const auto& each) { return each.second == most->second; }) > 1;
    std::string told;
    for (std::size_t r = 0; r < hashes.size(); ++r) {
        if (tie || hashes[r] != most->first) told += fmt::format("{}rank {} has {:016x}", told.empty() ? "" : ", ", r, hashes[r]);
    }
    throw AgreedError(
        fmt::format("[ranks] weights differ at step {}: {}{}; hint: a fault of that machine or a bug; the same command goes on from the "
                    "last checkpoint",
                    step, told, tie ? "" : fmt::format(", the others {:016x}", most->first)));
}

void drill_fault(Exec& exec, const nn::ParameterStore& store, std::int64_t step) {
    const char* drill = std::getenv("MOEGRAD_FAULT");
    if (drill == nullptr || exec.communicator == nullptr) return;
    std::string kind = drill, at = fmt::format("{}:{}:", exec.communicator->rank(), step);
    if (!kind.starts_with(at)) return;
    Tensor weights = store.compute();
    std::vector<double> values = to_host<double>(exec, weights);
    if (kind.substr(at.size()) == "nan") {
        std::fill(values.begin(), values.end(), std::nan(""));
    } else {
        values[0] *= 1 + std::ldexp(1.0, store.dtype() == Dtype::bf16 ? -7 : -22);
    }
    copy_from_host(exec, weights, values);
}

}  // namespace apps
