#pragma once
// Both kinds of attention in double, straight from their formulas, with the chain rule written out.
#include "engine/base/dtype.h"

#include <vector>

namespace tests::reference {

using engine::Size;

struct AttentionCase {
    Size B, T, H, Sh;
    bool rope;
    Size F() const { return H * Sh; }
};
struct AttentionResults {
    std::vector<double> y, dqkv;
    bool operator==(const AttentionResults&) const = default;
};
// qkv (B,T,3F), dy (B,T,F): causal, scores over √Sh, rotary positions from 0.
AttentionResults attend(const AttentionCase& c, const std::vector<double>& qkv, const std::vector<double>& dy);

struct XlCase {
    Size B, T, M, H, Sh, C;
    Size S() const { return M + T; }
    Size F() const { return H * Sh; }
};
struct XlValues {
    std::vector<double> q, k, v, pos, u, w, scale, dy;
};
struct XlResults {
    std::vector<std::vector<double>> tensors;  // y, dq, dk, dv, dpos, du, dv_bias, dscale
    double dscale_terms = 0;                   // Σ|terms| of dscale, a sum that cancels almost wholly
};
// q, dy (B,T,F), k, v (B,S,F), memory first; pos (C,F), u, w (H,Sh), scale (1).
XlResults attend_xl(const XlCase& c, const XlValues& x);

}  // namespace tests::reference
