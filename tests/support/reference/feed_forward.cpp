#include "tests/support/reference/choices.h"
#include "tests/support/reference/experts.h"

#include <cmath>
#include <numbers>

namespace tests::reference {

double act(const std::string& kind, double x) {
    if (kind == "gelu") return 0.5 * x * (1 + std::erf(x / std::numbers::sqrt2));
    if (kind == "gelu-tanh") return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    if (kind == "silu") return x / (1 + std::exp(-x));
    if (kind == "identity") return x;
    return x > 0 ? x : 0;
}

double slope(const std::string& kind, double x) {
    if (kind == "gelu") {
        return 0.5 * (1 + std::erf(x / std::numbers::sqrt2)) + x * std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi);
    }
    if (kind == "gelu-tanh") {
        double inner = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x), cosh = std::cosh(inner);
        return 0.5 * (1 + std::tanh(inner)) + 0.5 * x / (cosh * cosh) * std::sqrt(2 / std::numbers::pi) * (1 + 3 * 0.044715 * x * x);
    }
    if (kind == "silu") {
        double s = 1 / (1 + std::exp(-x));
        return s + x * s * (1 - s);
    }
    return kind == "identity" || x > 0 ? 1 : 0;
}

// y = act(x·w1 + b1)[∘(x·w3)]·w2 + b2; `topk` keeps the k largest hidden values of a row.
Arrays block(const nn::OptionTable& options, const Arrays& in) {
    Matrix x(in.at("x")), dy(in.at("dy"));
    Size N = x.rows, C = x.columns, F = options.size("hidden"), K = options.contains("k") ? options.size("k") : 0;
    bool glu = options.flag("glu", false), bias = options.flag("bias", false);
    std::string kind = options.word("activation", "relu");
    Matrix w1 = parameter(in, "w1", {C, F}), w2 = parameter(in, "w2", {F, C}), w3 = glu ? parameter(in, "w3", {C, F}) : Matrix();
    Matrix b1 = bias ? parameter(in, "b1", {F}) : Matrix(), b2 = bias ? parameter(in, "b2", {C}) : Matrix();
    Matrix u = x * w1, v = glu ? x * w3 : Matrix(N, F), hidden(N, F), kept(N, F);
    Arrays out;
    if (K > 0) out["ids"].shape = out["gates"].shape = {N, K};
    for (Size n = 0; n < N; ++n) {
        for (Size f = 0; f < F; ++f) {
            if (bias) u(n, f) += b1(0, f);
            if (!glu) v(n, f) = 1;
            hidden(n, f) = act(kind, u(n, f)) * v(n, f);
            kept(n, f) = K == 0;
        }
        std::vector<Size> order = falling(hidden, n);
        for (Size k = 0; k < K; ++k) {
            kept(n, order[static_cast<std::size_t>(k)]) = 1;
            out["ids"].values.push_back(static_cast<double>(order[static_cast<std::size_t>(k)]));
            out["gates"].values.push_back(1);
        }
        for (Size f = 0; f < F; ++f) hidden(n, f) *= kept(n, f);
    }
    Matrix y = hidden * w2, da = dy * transposed(w2), du(N, F), dv(N, F);
    for (Size n = 0; n < N; ++n) {
        for (Size c = 0; bias && c < C; ++c) y(n, c) += b2(0, c);
        for (Size f = 0; f < F; ++f) {
            du(n, f) = kept(n, f) * da(n, f) * slope(kind, u(n, f)) * v(n, f);
            dv(n, f) = kept(n, f) * da(n, f) * act(kind, u(n, f));
        }
    }
    Matrix dx = du * transposed(w1);
    if (glu) dx = dx + dv * transposed(w3);
    out["y"] = {{N, C}, y.values};
    out["dx"] = {{N, C}, dx.values};
    out["grad.w1"] = {{C, F}, (transposed(x) * du).values};
    out["grad.w2"] = {{F, C}, (transposed(hidden) * dy).values};
    if (glu) out["grad.w3"] = {{C, F}, (transposed(x) * dv).values};
    if (bias) {
        out["grad.b1"] = {{F}, column_sums(du).values};
        out["grad.b2"] = {{C}, column_sums(dy).values};
    }
    return out;
}

// sigma-moe.md 1.4–1.7: the K experts with the largest logits, each weighted by σ, by softmax over all, or by softmax over the chosen.
Arrays experts(const nn::OptionTable& options, const Arrays& in) {
    ExpertSums sums(options, in);
    const Matrix& x = sums.x;
    Size N = x.rows, C = x.columns, E = sums.E, K = options.size("k");
    std::string method = options.word("method");
    double weight = options.number("entropy_weight", 0.0), rows = static_cast<double>(N);
    Matrix router = parameter(in, "router.w", {C, E}), z = x * router, q = z, p(1, E), dz(N, E);
    for (Size n = 0; n < N; ++n) {
        double sum = 0;
        for (Size e = 0; e < E; ++e) sum += std::exp(z(n, e));
        for (Size e = 0; e < E; ++e) q(n, e) = std::exp(z(n, e)) / sum;
        for (Size e = 0; e < E; ++e) p(0, e) += q(n, e) / rows;
    }
    Arrays out;
    out["ids"].shape = out["gates"].shape = {N, K};
    out["loss.entropy"] = {{1}, {0}};
    for (double share : p.values) out["loss.entropy"].values[0] += share * std::log(share);
    for (Size n = 0; n < N; ++n) {
        std::vector<Size> order = falling(z, n);
        order.resize(static_cast<std::size_t>(K));
        double chosen = 0, mean = 0, entropy_mean = 0;
        for (Size e : order) chosen += std::exp(z(n, e));
        std::vector<double> gates, dgates;
        for (Size e : order) {
            double gate = method == "sigma-moe"        ? 1 / (1 + std::exp(-z(n, e)))
                          : method == "softmax-before" ? q(n, e)
                                                       : std::exp(z(n, e)) / chosen;
            double dgate = sums.add(n, e, gate);
            gates.push_back(gate), dgates.push_back(dgate);
            out["ids"].values.push_back(static_cast<double>(e));
            out["gates"].values.push_back(gate);
            mean += gate * dgate;
        }
        for (Size e = 0; e < E; ++e) entropy_mean += q(n, e) * std::log(p(0, e));
        for (Size e = 0; e < E; ++e) {
            dz(n, e) = weight / rows * q(n, e) * (std::log(p(0, e)) - entropy_mean);
            if (method == "softmax-before") dz(n, e) -= q(n, e) * mean;
        }
        for (std::size_t k = 0; k < order.size(); ++k) {
            if (method == "sigma-moe") dz(n, order[k]) += dgates[k] * gates[k] * (1 - gates[k]);
            if (method == "softmax-before") dz(n, order[k]) += dgates[k] * gates[k];
            if (method == "softmax-after") dz(n, order[k]) += gates[k] * (dgates[k] - mean);
        }
    }
    sums.dx = sums.dx + dz * transposed(router);
    sums.put_into(out, in.at("x").shape);
    out["grad.router.w"] = {{C, E}, (transposed(x) * dz).values};
    return out;
}

// The Jacobian, element by element: ∂x̂_i/∂x_j = r·(δ_ij − 1/C − x̂_i·x̂_j/C), without 1/C where nothing is centred.
Arrays norm(const nn::OptionTable& options, const Arrays& in) {
    Matrix x(in.at("x")), dy(in.at("dy"));
    Size N = x.rows, C = x.columns;
    bool centred = options.word("method") == "layer-norm";
    double eps = options.number("eps", 1e-5), width = static_cast<double>(C);
    Matrix w = parameter(in, "weight", {C}), b = centred ? parameter(in, "bias", {C}) : Matrix(1, C);
    Matrix y(N, C), dx(N, C), dw(1, C);
    for (Size n = 0; n < N; ++n) {
        double mean = 0, squares = 0;
        for (Size c = 0; centred && c < C; ++c) mean += x(n, c) / width;
        for (Size c = 0; c < C; ++c) squares += (x(n, c) - mean) * (x(n, c) - mean) / width;
        double rate = 1 / std::sqrt(squares + eps);
        auto unit = [&](Size c) { return (x(n, c) - mean) * rate; };
        for (Size i = 0; i < C; ++i) {
            y(n, i) = unit(i) * w(0, i) + b(0, i);
            dw(0, i) += dy(n, i) * unit(i);
            for (Size j = 0; j < C; ++j) {
                dx(n, j) += dy(n, i) * w(0, i) * rate * ((i == j) - (centred ? 1 / width : 0) - unit(i) * unit(j) / width);
            }
        }
    }
    Arrays out = {{"y", {{N, C}, y.values}}, {"dx", {{N, C}, dx.values}}, {"grad.weight", {{C}, dw.values}}};
    if (centred) out["grad.bias"] = {{C}, column_sums(dy).values};
    return out;
}

}  // namespace tests::reference
