#include "apps/token_counts.h"

#include "moe/methods/table.h"

#include <algorithm>

namespace apps {

std::vector<std::int64_t> token_counts(const Config& config, const data::TokenStore& store, Size vocab) {
    constexpr std::int64_t kBlock = 1 << 20;
    if (config.ffn.method.empty() || moe::method_named(config.ffn.method).selector != moe::Selector::balanced_table) return {};
    std::vector<std::int64_t> counts(static_cast<std::size_t>(vocab));
    const data::Split& split = store.split("train");
    std::vector<std::int32_t> ids(kBlock);
    for (std::int64_t first = 0; first < split.tokens(); first += kBlock) {
        std::int64_t count = std::min(kBlock, split.tokens() - first);
        split.read(first, count, ids.data());
        for (std::int64_t i = 0; i < count; ++i) ++counts[static_cast<std::size_t>(ids[static_cast<std::size_t>(i)])];
    }
    return counts;
}

}  // namespace apps
