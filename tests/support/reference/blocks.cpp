// Experts chosen by their own keys, by token ids, and experts that choose (LAYERS.md, rules 13, 15 and 16).
#include "tests/support/reference/choices.h"
#include "tests/support/reference/experts.h"

namespace tests::reference {

// Blocks by their own keys, scores without router: avg-k and vanilla-m (rule 16).
Arrays key_blocks(const nn::OptionTable& options, const Arrays& in) {
    ExpertSums sums(options, in);
    const Matrix& x = sums.x;
    Size N = x.rows, C = x.columns, E = sums.E, G = sums.G, K = options.size("k");
    std::string reduce = options.word("reduce", "mean");
    bool post = options.word("on", "pre") == "post";
    Matrix scores(N, E), ds(N, E);
    for (Size n = 0; n < N; ++n) {
        for (Size e = 0; e < E; ++e) {
            for (Size g = 0; g < G; ++g) {
                double cell = 0;
                for (Size c = 0; c < C; ++c) cell += x(n, c) * sums.w1(e * C + c, g);
                if (post) cell = act(sums.kind, cell);
                scores(n, e) += (reduce == "mean-abs" ? std::abs(cell) : cell) / (reduce == "sum" ? 1.0 : static_cast<double>(G));
            }
        }
    }
    GateRule rule = gate_rule(options);
    Arrays out;
    out["ids"].shape = out["gates"].shape = {N, K};
    std::vector<Choice> ids = best(scores, K);
    for (Size n = 0; n < N; ++n) {
        const Choice& row = ids[static_cast<std::size_t>(n)];
        auto member = [&](Size e) { return rule.over == GateRule::all || std::find(row.begin(), row.end(), e) != row.end(); };
        double divisor = 0;
        for (Size e = 0; e < E; ++e) divisor += member(e) ? rule.value(scores(n, e)) : 0;
        if (rule.over == GateRule::nothing) divisor = 1;
        for (Size e : row) {
            double gate = rule.value(scores(n, e)) / divisor, dgate = sums.add(n, e, gate);
            out["ids"].values.push_back(static_cast<double>(e));
            out["gates"].values.push_back(gate);
            ds(n, e) += dgate * rule.slope(scores(n, e)) / divisor;
            for (Size j = 0; rule.over != GateRule::nothing && j < E; ++j) {
                ds(n, j) -= member(j) ? dgate * gate * rule.slope(scores(n, j)) / divisor : 0;
            }
        }
    }
    for (Size n = 0; n < N; ++n) {
        for (Size e = 0; e < E; ++e) {
            for (Size c = 0; c < C; ++c) {
                for (Size g = 0; g < G; ++g) {
                    sums.dx(n, c) += ds(n, e) * sums.w1(e * C + c, g) / static_cast<double>(G);
                    sums.dw1(e * C + c, g) += ds(n, e) * x(n, c) / static_cast<double>(G);
                }
            }
        }
    }
    sums.put_into(out, in.at("x").shape);
    return out;
}

// hash, rand-hash (rule 15).
Arrays hashed(const nn::OptionTable& options, const Arrays& in) {
    ExpertSums sums(options, in);
    Size N = sums.x.rows, K = options.size("k");
    Matrix table = parameter(in, "hash.table", {options.size("vocab"), K});
    Arrays out;
    out["ids"].shape = out["gates"].shape = {N, K};
    for (Size n = 0; n < N; ++n) {
        Size token = static_cast<Size>(in.at("token_ids").values[static_cast<std::size_t>(n)]);
        for (Size k = 0; k < K; ++k) {
            sums.add(n, static_cast<Size>(table(token, k)), 1);
            out["ids"].values.push_back(table(token, k));
            out["gates"].values.push_back(1);
        }
    }
    sums.put_into(out, in.at("x").shape);
    return out;
}

// expert-choice (rule 13): p over experts or over tokens; each expert its best rows, in order.
Arrays chosen_by_experts(const nn::OptionTable& options, const Arrays& in) {
    ExpertSums sums(options, in);
    const Matrix& x = sums.x;
    Size N = x.rows, E = sums.E;
    bool over_tokens = options.word("softmax_over", "experts") == "tokens";
    Matrix router = parameter(in, "router.w", {x.columns, E}), z = x * router, q(N, E), d(N, E), dz(N, E), rows(N, 1), columns(1, E);
    for (Size n = 0; n < N; ++n) {
        for (Size e = 0; e < E; ++e) rows(n, 0) += std::exp(z(n, e)), columns(0, e) += std::exp(z(n, e));
    }
    for (Size n = 0; n < N; ++n) {
        for (Size e = 0; e < E; ++e) q(n, e) = std::exp(z(n, e)) / (over_tokens ? columns(0, e) : rows(n, 0));
    }
    double fair = std::ceil(static_cast<double>(N) * options.number("capacity_factor", 2.0) / static_cast<double>(E));
    Size seats = std::min(N, static_cast<Size>(fair));
    Arrays out;
    out["ids"].shape = out["gates"].shape = {E, seats};
    Matrix likes = transposed(q);
    for (Size e = 0; e < E; ++e) {
        Choice order = falling(likes, e);
        for (Size s = 0; s < seats; ++s) {
            Size n = order[static_cast<std::size_t>(s)];
            out["ids"].values.push_back(static_cast<double>(n));
            out["gates"].values.push_back(q(n, e));
            d(n, e) = sums.add(n, e, q(n, e));
        }
    }
    for (Size n = 0; n < N; ++n) {
        for (Size e = 0; e < E; ++e) {
            double mean = 0;
            for (Size i = 0; i < (over_tokens ? N : E); ++i) mean += over_tokens ? q(i, e) * d(i, e) : q(n, i) * d(n, i);
            dz(n, e) = q(n, e) * (d(n, e) - mean);
        }
    }
    sums.dx = sums.dx + dz * transposed(router);
    sums.put_into(out, in.at("x").shape);
    out["grad.router.w"] = {{x.columns, E}, (transposed(x) * dz).values};
    return out;
}

}  // namespace tests::reference
