#pragma once
#include <cstdint>
#include <vector>

namespace apps {

struct SamplingOptions {
    double temperature = 1;  // 0: the likeliest token
    int top_k = 0;           // 0: all
    double top_p = 1;        // smallest set of likeliest tokens with at least this probability
    std::uint64_t seed = 0;
};

// The next token from its logits. `position` counts the tokens drawn so far: the same seed and position give the same draw.
std::int32_t sample(const std::vector<float>& logits, const SamplingOptions& options, std::uint64_t position);

}  // namespace apps
