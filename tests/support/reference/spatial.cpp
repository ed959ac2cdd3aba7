// gMLP and sMLP: one chunk of one sequence at a time, with five nested loops where the formula has five indices.
#include "tests/support/reference/layers.h"
#include "tests/support/reference/matrix.h"

#include <algorithm>
#include <cmath>

namespace tests::reference {
namespace {

struct Sizes {
    Size B, T, C, F, E, W, context, prefix;
    bool causal, tanh, experts, routed;
    bool sees(Size t, Size s) const { return !causal || s <= t; }
};

Sizes sizes_of(const nn::OptionTable& options, const engine::Shape& x) {
    bool experts = options.word("method") == "smlp";
    Size E = experts ? options.size("n_experts") : 1, F = options.size("hidden"), context = options.size("context");
    bool routed = experts && options.word("routing", "deterministic") == "partial-prediction";
    Size prefix = static_cast<Size>(std::ceil(options.number("partial", 0.2) * static_cast<double>(context) - 1e-9));
    return {
        x[0],    x[1],  x[2], F, E, F / (2 * E), context, std::min(x[1], prefix), options.flag("causal", true), options.flag("tanh", false),
        experts, routed};
}

// A chunk's way through the unit, and back.
struct Chunk {
    const Sizes& n;
    Size first, column, e;         // row and column of z; the expert
    Matrix z, normal, gate, rate;  // (T,2W), (T,W), (T,W), (T,1)
    std::vector<double> chances;
    double p = 1;

    Chunk(const Sizes& sizes, const Matrix& all, Size b, Size i)
        : n(sizes), first(b * n.T), column(2 * i * n.W), e(i), z(n.T, 2 * n.W), normal(n.T, n.W), gate(n.T, n.W), rate(n.T, 1) {
        for (Size t = 0; t < n.T; ++t) {
            for (Size f = 0; f < 2 * n.W; ++f) z(t, f) = all(first + t, column + f);
        }
    }
    double mean(Size f) const {
        double sum = 0;
        for (Size t = 0; t < n.prefix; ++t) sum += z(t, f);
        return sum / static_cast<double>(n.prefix);
    }
    void choose(const Matrix& route) {
        std::vector<double> logits(static_cast<std::size_t>(n.E), 0);
        for (Size k = 0; k < n.E; ++k) {
            for (Size f = 0; f < 2 * n.W; ++f) logits[static_cast<std::size_t>(k)] += mean(f) * route(f, k);
        }
        auto best = std::max_element(logits.begin(), logits.end());
        e = best - logits.begin();
        double sum = 0;
        for (double logit : logits) sum += std::exp(logit - *best);
        for (double logit : logits) chances.push_back(std::exp(logit - *best) / sum);
        p = chances[static_cast<std::size_t>(e)];
    }
    void normalise() {
        for (Size t = 0; t < n.T; ++t) {
            double mean = 0, variance = 0, W = static_cast<double>(n.W);
            for (Size j = 0; j < n.W; ++j) mean += z(t, n.W + j) / W;
            for (Size j = 0; j < n.W; ++j) variance += (z(t, n.W + j) - mean) * (z(t, n.W + j) - mean) / W;
            rate(t, 0) = 1 / std::sqrt(variance + 1e-5);
            for (Size j = 0; j < n.W; ++j) normal(t, j) = (z(t, n.W + j) - mean) * rate(t, 0);
        }
    }
    double scaled(Size s, Size j, const Matrix& weight, const Matrix& bias) const {
        return normal(s, j) * weight.values[static_cast<std::size_t>(e * n.W + j)] + bias.values[static_cast<std::size_t>(e * n.W + j)];
    }
};

struct Parameters {
    Matrix norm_w, norm_b, spatial_w, spatial_b, route;
};

// h of one chunk, (T,W).
Matrix forward(Chunk& c, const Parameters& p) {
    const Sizes& n = c.n;
    if (n.routed) c.choose(p.route);
    c.normalise();
    Matrix h(n.T, n.W);
    for (Size t = 0; t < n.T; ++t) {
        for (Size j = 0; j < n.W; ++j) {
            double sum = p.spatial_b.values[static_cast<std::size_t>(c.e * n.context + t)];
            for (Size s = 0; s < n.T; ++s) {
                if (n.sees(t, s)) sum += p.spatial_w(c.e * n.context + t, s) * c.scaled(s, j, p.norm_w, p.norm_b);
            }
            c.gate(t, j) = n.tanh ? std::tanh(sum) : sum;
            h(t, j) = c.p * c.z(t, j) * c.gate(t, j);
        }
    }
    return h;
}

// Adds the chunk's shares to the parameters' gradients; returns that of its part of z, (T,2W).
Matrix backward(const Chunk& c, const Matrix& dh, const Parameters& p, Parameters& grad) {
    const Sizes& n = c.n;
    Matrix dz(n.T, 2 * n.W), dnormal(n.T, n.W);
    double dp = 0;
    for (Size t = 0; t < n.T; ++t) {
        for (Size j = 0; j < n.W; ++j) {
            double gate = c.gate(t, j), dgate = dh(t, j) * c.p * c.z(t, j) * (n.tanh ? 1 - gate * gate : 1);
            dp += dh(t, j) * c.z(t, j) * gate;
            dz(t, j) += dh(t, j) * c.p * gate;
            grad.spatial_b.values[static_cast<std::size_t>(c.e * n.context + t)] += dgate;
            for (Size s = 0; s < n.T; ++s) {
                if (!n.sees(t, s)) continue;
                grad.spatial_w(c.e * n.context + t, s) += dgate * c.scaled(s, j, p.norm_w, p.norm_b);
                dnormal(s, j) += dgate * p.spatial_w(c.e * n.context + t, s);
            }
        }
    }
    for (Size t = 0; t < n.T; ++t) {
        double mean = 0, mean_x = 0, W = static_cast<double>(n.W);
        for (Size j = 0; j < n.W; ++j) {
            auto at = static_cast<std::size_t>(c.e * n.W + j);
            grad.norm_w.values[at] += dnormal(t, j) * c.normal(t, j);
            grad.norm_b.values[at] += dnormal(t, j);
            dnormal(t, j) *= p.norm_w.values[at];
            mean += dnormal(t, j) / W;
            mean_x += dnormal(t, j) * c.normal(t, j) / W;
        }
        for (Size j = 0; j < n.W; ++j) dz(t, n.W + j) += c.rate(t, 0) * (dnormal(t, j) - mean - c.normal(t, j) * mean_x);
    }
    for (Size k = 0; n.routed && k < n.E; ++k) {
        double dlogit = dp * c.p * ((k == c.e ? 1 : 0) - c.chances[static_cast<std::size_t>(k)]);
        for (Size f = 0; f < 2 * n.W; ++f) {
            grad.route(f, k) += dlogit * c.mean(f);
            for (Size t = 0; t < n.prefix; ++t) dz(t, f) += dlogit * p.route(f, k) / static_cast<double>(n.prefix);
        }
    }
    return dz;
}

Matrix zeros_like(const Matrix& a) { return Matrix(a.rows, a.columns); }

}  // namespace

Arrays spatial(const nn::OptionTable& options, const Arrays& in) {
    engine::Shape shape = in.at("x").shape;
    Sizes n = sizes_of(options, shape);
    auto by_expert = [&](std::initializer_list<Size> rest) {
        engine::Shape result;
        if (n.experts) result.append(n.E);
        for (Size size : rest) result.append(size);
        return result;
    };
    Matrix x(in.at("x")), dy(in.at("dy")), in_w = parameter(in, "in.w", {n.C, n.F}), in_b = parameter(in, "in.b", {n.F});
    Matrix out_w = parameter(in, "out.w", {n.F / 2, n.C}), out_b = parameter(in, "out.b", {n.C});
    Parameters p{parameter(in, "norm.weight", by_expert({n.W})), parameter(in, "norm.bias", by_expert({n.W})),
                 parameter(in, "spatial.w", by_expert({n.context, n.context})), parameter(in, "spatial.b", by_expert({n.context})),
                 n.routed ? parameter(in, "route.w", {n.F / n.E, n.E}) : Matrix()};
    Parameters grad{zeros_like(p.norm_w), zeros_like(p.norm_b), zeros_like(p.spatial_w), zeros_like(p.spatial_b), zeros_like(p.route)};
    Matrix pre = x * in_w, z(pre.rows, pre.columns), dz = z, h(pre.rows, n.F / 2), dh = dy * transposed(out_w);
    for (Size r = 0; r < pre.rows; ++r) {
        for (Size f = 0; f < n.F; ++f) z(r, f) = act("gelu", pre(r, f) += in_b(0, f));
    }
    Array ids{{n.B, n.E}, {}}, gates = ids;
    for (Size b = 0; b < n.B; ++b) {
        for (Size i = 0; i < n.E; ++i) {
            Chunk chunk(n, z, b, i);
            Matrix own = forward(chunk, p), own_dh(n.T, n.W);
            for (Size t = 0; t < n.T; ++t) {
                for (Size j = 0; j < n.W; ++j) {
                    h(b * n.T + t, i * n.W + j) = own(t, j);
                    own_dh(t, j) = dh(b * n.T + t, i * n.W + j);
                }
            }
            Matrix own_dz = backward(chunk, own_dh, p, grad);
            for (Size t = 0; t < n.T; ++t) {
                for (Size f = 0; f < 2 * n.W; ++f) {
                    dz(b * n.T + t, chunk.column + f) = own_dz(t, f) * slope("gelu", pre(b * n.T + t, chunk.column + f));
                }
            }
            ids.values.push_back(static_cast<double>(chunk.e));
            gates.values.push_back(chunk.p);
        }
    }
    Matrix y = h * out_w;
    for (Size r = 0; r < y.rows; ++r) {
        for (Size c = 0; c < n.C; ++c) y(r, c) += out_b(0, c);
    }
    Arrays out = {{"y", {shape, y.values}},
                  {"dx", {shape, (dz * transposed(in_w)).values}},
                  {"grad.in.w", {{n.C, n.F}, (transposed(x) * dz).values}},
                  {"grad.in.b", {{n.F}, column_sums(dz).values}},
                  {"grad.norm.weight", {by_expert({n.W}), grad.norm_w.values}},
                  {"grad.norm.bias", {by_expert({n.W}), grad.norm_b.values}},
                  {"grad.spatial.w", {by_expert({n.context, n.context}), grad.spatial_w.values}},
                  {"grad.spatial.b", {by_expert({n.context}), grad.spatial_b.values}},
                  {"grad.out.w", {{n.F / 2, n.C}, (transposed(h) * dy).values}},
                  {"grad.out.b", {{n.C}, column_sums(dy).values}}};
    if (n.routed) {
        out["grad.route.w"] = {{n.F / n.E, n.E}, grad.route.values};
        out["ids"] = ids, out["gates"] = gates;
    }
    return out;
}

}  // namespace tests::reference
