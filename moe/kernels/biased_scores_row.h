#pragma once
#include "engine/base/here.h"
#include "engine/kernels/vector_math.h"
#include "moe/kernels/biased_scores.h"
#include "moe/kernels/gate_row.h"

namespace moe::kernels::inline ENGINE_DEVICE {

template <class S>
ENGINE_BOTH inline S group_score(const S* keys, Size count, Score score) {
    S best = keys[0], next = -static_cast<S>(__builtin_inf());
    for (Size i = 1; i < count; ++i) {
        if (keys[i] > best) {
            next = best;
            best = keys[i];
        } else if (keys[i] > next) {
            next = keys[i];
        }
    }
    return score == Score::sigmoid && count > 1 ? best + next : best;
}

template <class S>
ENGINE_BOTH inline void biased_row(S* keys, const S* z, const S* bias, Size E, GroupRule rule) {
    S most = rule.score == Score::softmax ? largest(z, E) : S(0), sum = 0;
    if (rule.score == Score::softmax) {
        for (Size e = 0; e < E; ++e) sum += engine::kernels::exp_of(z[e] - most);
    }
    for (Size e = 0; e < E; ++e) {
        S s = rule.score == Score::softmax ? engine::kernels::exp_of(z[e] - most) / sum : S(1) / (S(1) + engine::kernels::exp_of(-z[e]));
        keys[e] = s + bias[e];
    }
    if (rule.kept == rule.groups) return;
    Size width = E / rule.groups;
    std::uint64_t closed = 0;
    for (Size g = 0; g < rule.groups; ++g) {
        S own = group_score(keys + g * width, width, rule.score);
        Size before = 0;
        for (Size other = 0; other < rule.groups; ++other) {
            S score = group_score(keys + other * width, width, rule.score);
            before += score > own || (score == own && other < g) ? 1 : 0;
        }
        if (before >= rule.kept) closed |= std::uint64_t{1} << g;
    }
    for (Size e = 0; e < E; ++e) {
        if ((closed >> (e / width) & 1) != 0) keys[e] = -static_cast<S>(__builtin_inf());
    }
}

template <class S>
ENGINE_BOTH inline S moved_bias(S bias, S count, S target, S rate) {
    return target > count ? bias + rate : target < count ? bias - rate : bias;
}

}  // namespace moe::kernels::inline ENGINE_DEVICE
