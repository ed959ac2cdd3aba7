#include "tests/support/reference/attention.h"

#include <cmath>

namespace tests::reference {
namespace {

// Turns the queries and keys of (B·T, 3F) by ±t·10000^(−2i/Sh).
std::vector<double> turned(const AttentionCase& c, std::vector<double> x, double sign) {
    Size half = c.Sh / 2;
    for (Size n = 0; c.rope && n < c.B * c.T; ++n) {
        for (Size h = 0; h < 2 * c.H; ++h) {
            for (Size i = 0; i < half; ++i) {
                double angle =
                    sign * static_cast<double>(n % c.T) / std::pow(10000.0, 2.0 * static_cast<double>(i) / static_cast<double>(c.Sh));
                double &a = x[static_cast<std::size_t>(n * 3 * c.F() + h * c.Sh + i)],
                       &b = x[static_cast<std::size_t>(n * 3 * c.F() + h * c.Sh + half + i)];
                double first = a * std::cos(angle) - b * std::sin(angle);
                b = b * std::cos(angle) + a * std::sin(angle);
                a = first;
            }
        }
    }
    return x;
}

}  // namespace

AttentionResults attend(const AttentionCase& c, const std::vector<double>& qkv, const std::vector<double>& dy) {
    std::vector<double> x = turned(c, qkv, 1);
    AttentionResults out{std::vector<double>(dy.size()), std::vector<double>(x.size())};
    double scale = 1 / std::sqrt(static_cast<double>(c.Sh));
    for (Size b = 0; b < c.B; ++b) {
        for (Size h = 0; h < c.H; ++h) {
            auto q = [&](Size i, Size d) { return static_cast<std::size_t>((b * c.T + i) * 3 * c.F() + h * c.Sh + d); };
            auto k = [&](Size j, Size d) { return q(j, d) + static_cast<std::size_t>(c.F()); };
            auto v = [&](Size j, Size d) { return q(j, d) + static_cast<std::size_t>(2 * c.F()); };
            auto at = [&](Size i, Size d) { return static_cast<std::size_t>((b * c.T + i) * c.F() + h * c.Sh + d); };
            for (Size i = 0; i < c.T; ++i) {
                std::vector<double> p(static_cast<std::size_t>(i + 1)), dp(p.size());
                double sum = 0, mean = 0;
                for (Size j = 0; j <= i; ++j) {
                    double score = 0;
                    for (Size d = 0; d < c.Sh; ++d) score += x[q(i, d)] * x[k(j, d)] * scale;
                    p[static_cast<std::size_t>(j)] = std::exp(score);
                    sum += std::exp(score);
                }
                for (Size j = 0; j <= i; ++j) {
                    double& share = p[static_cast<std::size_t>(j)];
                    share /= sum;
                    for (Size d = 0; d < c.Sh; ++d) {
                        out.y[at(i, d)] += share * x[v(j, d)];
                        out.dqkv[v(j, d)] += share * dy[at(i, d)];
                        dp[static_cast<std::size_t>(j)] += dy[at(i, d)] * x[v(j, d)];
                    }
                    mean += share * dp[static_cast<std::size_t>(j)];
                }
                for (Size j = 0; j <= i; ++j) {
                    double ds = p[static_cast<std::size_t>(j)] * (dp[static_cast<std::size_t>(j)] - mean) * scale;
                    for (Size d = 0; d < c.Sh; ++d) {
                        out.dqkv[q(i, d)] += ds * x[k(j, d)];
                        out.dqkv[k(j, d)] += ds * x[q(i, d)];
                    }
                }
            }
        }
    }
    out.dqkv = turned(c, out.dqkv, -1);
    return out;
}

XlResults attend_xl(const XlCase& c, const XlValues& x) {
    auto at = [](Size i) { return static_cast<std::size_t>(i); };
    Size S = c.S(), F = c.F();
    std::vector<double> P(at(S * c.C)), r(at(S * F)), dr(at(S * F));
    for (Size d = 0; d < S; ++d) {  // row d: distance −d
        for (Size i = 0; i < c.C; ++i) {
            double angle = -static_cast<double>(d) / std::pow(10000.0, static_cast<double>(i / 2 * 2) / static_cast<double>(c.C));
            P[at(d * c.C + i)] = i % 2 == 0 ? std::sin(angle) : std::cos(angle);
        }
        for (Size f = 0; f < F; ++f) {
            for (Size i = 0; i < c.C; ++i) r[at(d * F + f)] += P[at(d * c.C + i)] * x.pos[at(i * F + f)];
        }
    }
    XlResults out;
    std::vector<double> y(x.q.size()), dq(x.q.size()), dk(x.k.size()), dv(x.v.size()), dpos(x.pos.size()), du(x.u.size()), dw(x.w.size()),
        ds(1);
    double scale = x.scale[0];
    for (Size b = 0; b < c.B; ++b) {
        for (Size h = 0; h < c.H; ++h) {
            for (Size i = 0; i < c.T; ++i) {
                Size seen = c.M + i + 1;
                std::vector<double> raw(at(seen)), p(at(seen)), dp(at(seen));
                double sum = 0, mean = 0;
                for (Size j = 0; j < seen; ++j) {
                    for (Size e = 0; e < c.Sh; ++e) {
                        Size f = h * c.Sh + e;
                        double q = x.q[at((b * c.T + i) * F + f)];
                        raw[at(j)] += (q + x.u[at(f)]) * x.k[at((b * S + j) * F + f)] + (q + x.w[at(f)]) * r[at((c.M + i - j) * F + f)];
                    }
                    p[at(j)] = std::exp(raw[at(j)] * scale);
                    sum += p[at(j)];
                }
                for (Size j = 0; j < seen; ++j) {
                    p[at(j)] /= sum;
                    for (Size e = 0; e < c.Sh; ++e) {
                        Size f = h * c.Sh + e;
                        double dy = x.dy[at((b * c.T + i) * F + f)];
                        y[at((b * c.T + i) * F + f)] += p[at(j)] * x.v[at((b * S + j) * F + f)];
                        dv[at((b * S + j) * F + f)] += p[at(j)] * dy;
                        dp[at(j)] += dy * x.v[at((b * S + j) * F + f)];
                    }
                    mean += p[at(j)] * dp[at(j)];
                }
                for (Size j = 0; j < seen; ++j) {
                    double dscore = p[at(j)] * (dp[at(j)] - mean), draw = dscore * scale;
                    ds[0] += dscore * raw[at(j)];
                    out.dscale_terms += std::abs(dscore * raw[at(j)]);
                    for (Size e = 0; e < c.Sh; ++e) {
                        Size f = h * c.Sh + e;
                        double q = x.q[at((b * c.T + i) * F + f)], k = x.k[at((b * S + j) * F + f)], rr = r[at((c.M + i - j) * F + f)];
                        dq[at((b * c.T + i) * F + f)] += draw * (k + rr);
                        du[at(f)] += draw * k;
                        dw[at(f)] += draw * rr;
                        dk[at((b * S + j) * F + f)] += draw * (q + x.u[at(f)]);
                        dr[at((c.M + i - j) * F + f)] += draw * (q + x.w[at(f)]);
                    }
                }
            }
        }
    }
    for (Size d = 0; d < S; ++d) {
        for (Size i = 0; i < c.C; ++i) {
            for (Size f = 0; f < F; ++f) dpos[at(i * F + f)] += P[at(d * c.C + i)] * dr[at(d * F + f)];
        }
    }
    out.tensors = {y, dq, dk, dv, dpos, du, dw, ds};
    return out;
}

}  // namespace tests::reference
