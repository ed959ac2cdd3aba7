#include "apps/sampling.h"

#include "engine/base/philox.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace apps {

std::int32_t sample(const std::vector<float>& logits, const SamplingOptions& options, std::uint64_t position) {
    std::vector<std::int32_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    auto by_logit = [&](std::int32_t a, std::int32_t b) {
        float x = logits[static_cast<std::size_t>(a)], y = logits[static_cast<std::size_t>(b)];
        return x != y ? x > y : a < b;
    };
    if (options.temperature == 0) return *std::min_element(order.begin(), order.end(), by_logit);
    std::sort(order.begin(), order.end(), by_logit);
    std::size_t kept = options.top_k > 0 ? std::min<std::size_t>(order.size(), static_cast<std::size_t>(options.top_k)) : order.size();
    std::vector<double> weights(kept);
    double largest = logits[static_cast<std::size_t>(order[0])], sum = 0;
    for (std::size_t i = 0; i < kept; ++i) {
        weights[i] = std::exp((static_cast<double>(logits[static_cast<std::size_t>(order[i])]) - largest) / options.temperature);
        sum += weights[i];
    }
    double mass = 0;
    for (std::size_t i = 0; i < kept; ++i) {
        mass += weights[i];
        if (mass >= options.top_p * sum) {
            kept = i + 1;
            sum = mass;
            break;
        }
    }
    constexpr std::uint32_t kSamplingSite = 0x00ffff00;
    double drawn = sum * static_cast<double>(engine::random_bits(options.seed, 0, kSamplingSite, position)) * 0x1p-32;
    for (std::size_t i = 0; i < kept; ++i) {
        drawn -= weights[i];
        if (drawn < 0) return order[i];
    }
    return order[kept - 1];
}

}  // namespace apps
