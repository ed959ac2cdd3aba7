#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;

enum class Score : std::uint8_t { softmax, sigmoid };
constexpr Size kMostGroups = 64;
struct GroupRule {
    Score score = Score::softmax;
    Size groups = 1, kept = 1;  // groups of E/groups neighbours; kept ≤ groups ≤ 64
};

// keys[n,e] = s_e + bias[e] where e's group is one of the `kept` best, else −∞;  s = softmax(z_n) or σ(z_n).    DeepSeek-V3, eq. 12–16
// A group's score is its best s + bias for softmax, the sum of its two best for sigmoid; ties to the lower group.
//   z, keys (N,E) of S · bias (E) of S · exponentials in plain arithmetic: fp32 keys have the same bits on every device
template <class D, class S>
void biased_scores(Exec& exec, Rows<S> keys, Rows<const S> z, const S* bias, GroupRule rule);

// next[e] = bias[e] + rate·sign(target − counts[e]).
template <class D, class S>
void move_bias(Exec& exec, S* next, const S* bias, const S* counts, Size E, double target, double rate);

}  // namespace moe::kernels
