// Methods with a router that rows choose by (LAYERS.md, rules 8 to 12 and 14), but sigma-moe and its two softmaxes.
#include "tests/support/reference/choices.h"
#include "tests/support/reference/experts.h"

namespace tests::reference {
namespace {

// Row by row, every expert with seats left, to the end: the largest sum.
struct Assignment {
    const Matrix& z;
    std::vector<Size> seats;
    Choice now, found;
    double best = -INFINITY;
    explicit Assignment(const Matrix& z_) : z(z_), now(static_cast<std::size_t>(z.rows)) {
        for (Size e = 0; e < z.columns; ++e) seats.push_back(z.rows / z.columns + (e < z.rows % z.columns));
        search(0, 0);
    }
    void search(Size n, double sum) {
        if (n == z.rows && sum > best) best = sum, found = now;
        for (Size e = 0; n < z.rows && e < z.columns; ++e) {
            if (seats[static_cast<std::size_t>(e)]-- > 0) {
                now[static_cast<std::size_t>(n)] = e;
                search(n + 1, sum + z(n, e));
            }
            ++seats[static_cast<std::size_t>(e)];
        }
    }
};

// Z + a, over groups of T rows (rule 12).
Matrix plan(const nn::OptionTable& options, const Matrix& z, Size T) {
    double sign = options.word("sinkhorn", "correct") == "correct" ? 1 : -1;
    Matrix keys = z;
    for (Size first = 0; first < z.rows; first += T) {
        Matrix a(1, z.columns), b(1, T);
        for (Size i = 0; i < options.size("sinkhorn_iterations", 3); ++i) {
            for (Size t = 0; t < T; ++t) {
                double sum = 0;
                for (Size e = 0; e < z.columns; ++e) sum += std::exp(z(first + t, e) + sign * a(0, e));
                b(0, t) = -std::log(sum);
            }
            for (Size e = 0; e < z.columns; ++e) {
                double sum = 0;
                for (Size t = 0; t < T; ++t) sum += std::exp(z(first + t, e) + sign * b(0, t));
                a(0, e) = -std::log(sum);
            }
        }
        for (Size t = first; t < first + T; ++t) {
            for (Size e = 0; e < z.columns; ++e) keys(t, e) += a(0, e);
        }
    }
    return keys;
}

// Experts' scores of one row and their sum (rule 14).
Matrix deepseek_scores(const nn::OptionTable& options, const Matrix& z) {
    Matrix s = z;
    bool softmax = options.word("score", "softmax") == "softmax";
    for (Size n = 0; n < z.rows; ++n) {
        double sum = 0;
        for (Size e = 0; e < z.columns; ++e) sum += std::exp(z(n, e));
        for (Size e = 0; e < z.columns; ++e) s(n, e) = softmax ? std::exp(z(n, e)) / sum : sigmoid(z(n, e));
    }
    return s;
}
Matrix deepseek_keys(const nn::OptionTable& options, Matrix s, const Matrix& bias) {
    Size groups = options.size("n_groups", 1), width = s.columns / groups;
    Matrix group(s.rows, groups);
    for (Size n = 0; n < s.rows; ++n) {
        for (Size e = 0; e < s.columns; ++e) s(n, e) += bias(0, e);
        for (Size g = 0; g < groups; ++g) {
            std::vector<double> own;
            for (Size e = g * width; e < (g + 1) * width; ++e) own.push_back(s(n, e));
            std::sort(own.rbegin(), own.rend());
            bool two = options.word("score", "softmax") == "sigmoid" && width > 1;
            group(n, g) = two ? own[0] + own[1] : own[0];
        }
        Choice order = falling(group, n);
        for (std::size_t i = static_cast<std::size_t>(options.size("topk_groups", 1)); i < order.size(); ++i) {
            for (Size e = order[i] * width; e < (order[i] + 1) * width; ++e) s(n, e) = -INFINITY;
        }
    }
    return s;
}

// What of every choice has a seat: all first ones in row order, then all second ones (rule 8).
std::vector<std::vector<bool>> seated(const nn::OptionTable& options, const std::vector<Choice>& ids, Size E) {
    Size N = static_cast<Size>(ids.size()), K = static_cast<Size>(ids[0].size());
    double factor = options.number("capacity_factor", 0.0);
    Size seats = factor == 0 ? N * K : static_cast<Size>(std::ceil(factor * static_cast<double>(K * N) / static_cast<double>(E)));
    std::vector<Size> used(static_cast<std::size_t>(E));
    std::vector<std::vector<bool>> kept(ids.size(), std::vector<bool>(static_cast<std::size_t>(K)));
    for (std::size_t k = 0; k < static_cast<std::size_t>(K); ++k) {
        for (std::size_t n = 0; n < ids.size(); ++n) kept[n][k] = used[static_cast<std::size_t>(ids[n][k])]++ < seats;
    }
    return kept;
}

// loss = factor·Σ_e f_e·mean_n r(n,e), r = score/Σ score; its gradient into dz.
double fraction_times_mean(const Matrix& f, const Matrix& scores, bool logistic, double factor, double weight, Matrix& dz) {
    double loss = 0, rows = static_cast<double>(scores.rows);
    for (Size n = 0; n < scores.rows; ++n) {
        double sum = 0, mean = 0;
        for (Size e = 0; e < scores.columns; ++e) sum += scores(n, e);
        for (Size e = 0; e < scores.columns; ++e) mean += f(0, e) * scores(n, e) / sum;
        loss += factor * mean / rows;
        for (Size e = 0; e < scores.columns; ++e) {
            double slope = logistic ? 1 - scores(n, e) : 1;
            dz(n, e) += weight * factor / rows * scores(n, e) / sum * slope * (f(0, e) - mean);
        }
    }
    return loss;
}

struct Losses {
    const nn::OptionTable& options;
    const std::vector<Choice>& ids;
    const Matrix& z;
    Matrix& dz;
    Arrays& out;

    Matrix counts(std::size_t first_choices) const {
        Matrix f(1, z.columns);
        for (const Choice& row : ids) {
            for (std::size_t k = 0; k < std::min(first_choices, row.size()); ++k) f(0, row[k]) += 1;
        }
        return f;
    }
    void balance_and_z() {
        double E = static_cast<double>(z.columns), rows = static_cast<double>(z.rows), weight = options.number("balance_weight", 0.0),
               z_weight = options.number("z_weight", 0.0);
        Matrix f = counts(1), p = deepseek_scores(nn::OptionTable("softmax"), z);
        for (double& share : f.values) share /= rows;
        bool released = options.word("balance_scale", "paper") == "released";
        out["loss.balance"] = {{1}, {fraction_times_mean(f, p, false, released ? 1 / E : E, weight, dz)}};
        out["loss.z"] = {{1}, {0}};
        for (Size n = 0; n < z.rows; ++n) {
            double sum = 0;
            for (Size e = 0; e < z.columns; ++e) sum += std::exp(z(n, e));
            out["loss.z"].values[0] += std::log(sum) * std::log(sum) / rows;
            for (Size e = 0; e < z.columns; ++e) dz(n, e) += z_weight * 2 * std::log(sum) * p(n, e) / rows;
        }
    }
    void deepseek(const Matrix& scores, const Matrix& bias) {
        double share = static_cast<double>(z.rows) * static_cast<double>(ids[0].size()) / static_cast<double>(z.columns);
        Matrix count = counts(ids[0].size()), f = count;
        for (double& each : f.values) each /= share;
        bool logistic = options.word("score", "softmax") == "sigmoid";
        out["loss.balance"] = {{1}, {fraction_times_mean(f, scores, logistic, 1, options.number("balance_weight", 0.0), dz)}};
        if (options.word("mode", "train") != "train") return;
        Array& next = out["next.router.bias"] = {{z.columns}, bias.values};
        for (std::size_t e = 0; e < next.values.size(); ++e) {
            double over = share - count.values[e];
            next.values[e] += options.number("bias_rate", 0.0) * (over > 0 ? 1 : over < 0 ? -1 : 0);
        }
    }
    // CV² = mean(I²)/mean(I)² − 1 of the summed gates; into dgates.
    void variation(const Matrix& gates, Matrix& dgates) {
        double E = static_cast<double>(z.columns), mean = 0, squares = 0, weight = options.number("cv_weight", 0.0);
        Matrix sums(1, z.columns);
        for (Size n = 0; n < gates.rows; ++n) {
            for (Size k = 0; k < gates.columns; ++k) sums(0, ids[static_cast<std::size_t>(n)][static_cast<std::size_t>(k)]) += gates(n, k);
        }
        for (double sum : sums.values) mean += sum / E, squares += sum * sum / E;
        out["loss.cv"] = {{1}, {squares / (mean * mean) - 1}};
        for (Size n = 0; n < gates.rows; ++n) {
            for (Size k = 0; k < gates.columns; ++k) {
                double own = sums(0, ids[static_cast<std::size_t>(n)][static_cast<std::size_t>(k)]);
                dgates(n, k) += weight * 2 / E * (own / (mean * mean) - squares / (mean * mean * mean));
            }
        }
    }
};

// y += shared block, one dense layer under other names.
void add_shared(const nn::OptionTable& options, const Arrays& in, Arrays& out) {
    Size cells = options.size("n_shared") * options.size("expert_size"), C = in.at("x").shape.columns();
    nn::OptionTable own("shared");
    own.set("hidden", cells);
    own.set("activation", options.word("activation", "relu"));
    own.set("glu", options.flag("glu", false));
    Arrays inputs = {{"x", in.at("x")}, {"dy", in.at("dy")}, {"w1", in.at("shared.w1")}, {"w2", in.at("shared.w2")}};
    CHECK(in.at("shared.w1").shape == engine::Shape{C, cells});
    if (own.flag("glu")) inputs["w3"] = in.at("shared.w3");
    Arrays dense = block(own, inputs);
    for (const char* name : {"y", "dx"}) {
        for (std::size_t i = 0; i < out[name].values.size(); ++i) out[name].values[i] += dense[name].values[i];
    }
    for (const char* name : {"w1", "w2", "w3"}) {
        if (inputs.contains(name)) out[std::string("grad.shared.") + name] = dense[std::string("grad.") + name];
    }
}

}  // namespace

Arrays routers(const nn::OptionTable& options, const Arrays& in) {
    std::string method = options.word("method");
    ExpertSums sums(options, in);
    const Matrix& x = sums.x;
    Size N = x.rows, C = x.columns, E = sums.E;
    bool trains = options.word("mode", "train") == "train";
    Matrix router = parameter(in, "router.w", {C, E}), z = x * router, keys = z, scores = z, bias(1, E), dz(N, E);
    if (method == "s-base" && trains) { keys = plan(options, z, options.word("scope", "batch") == "sequence" ? in.at("x").shape[-2] : N); }
    if (method == "deepseek") {
        bias = parameter(in, "router.bias", {E});
        scores = deepseek_scores(options, z);
        keys = deepseek_keys(options, scores, bias);
    }
    Size K = options.contains("k") ? options.size("k") : method == "gshard" ? 2 : 1;
    std::vector<Choice> ids = best(keys, K);
    if (method == "base" && trains) {
        Choice one = Assignment(z).found;
        for (Size n = 0; n < N; ++n) ids[static_cast<std::size_t>(n)] = {one[static_cast<std::size_t>(n)]};
    }
    std::vector<std::vector<bool>> kept = seated(options, ids, E);
    GateRule rule = gate_rule(options);
    Matrix gates(N, K), dgates(N, K), divisors(N, 1), members(N, E);
    for (Size n = 0; n < N; ++n) {
        const Choice& row = ids[static_cast<std::size_t>(n)];
        const std::vector<bool>& has = kept[static_cast<std::size_t>(n)];
        for (std::size_t k = 0; k < row.size(); ++k) members(n, row[k]) = rule.over == GateRule::kept ? (has[k] ? 1 : 0) : 1;
        double sum = 0;
        for (Size e = 0; e < E; ++e) {
            if (rule.over == GateRule::all) members(n, e) = 1;
            sum += members(n, e) * rule.value(z(n, e));
        }
        divisors(n, 0) = rule.over == GateRule::nothing ? 1 : sum;
        for (std::size_t k = 0; k < row.size(); ++k) {
            if (!has[k]) continue;
            Size at = static_cast<Size>(k);
            gates(n, at) = rule.scale * rule.value(z(n, row[k])) / divisors(n, 0);
            dgates(n, at) = sums.add(n, row[k], gates(n, at));
        }
        if (method != "base" || !options.flag("residual_mix", false)) continue;
        for (Size c = 0; c < C; ++c) {
            sums.y(n, c) += (1 - gates(n, 0)) * x(n, c);
            sums.dx(n, c) += (1 - gates(n, 0)) * sums.dy(n, c);
            dgates(n, 0) -= sums.dy(n, c) * x(n, c);
        }
    }
    Arrays out;
    Losses losses{options, ids, z, dz, out};
    if (method == "switch" || method == "gshard") losses.balance_and_z();
    if (method == "deepseek") losses.deepseek(scores, bias);
    if (method == "noisy-topk") losses.variation(gates, dgates);
    out["ids"].shape = out["gates"].shape = {N, K};
    out["gates"].values = gates.values;
    for (Size n = 0; n < N; ++n) {
        const Choice& row = ids[static_cast<std::size_t>(n)];
        for (Size k = 0; k < K; ++k) {
            Size e = row[static_cast<std::size_t>(k)];
            out["ids"].values.push_back(static_cast<double>(e));
            if (!kept[static_cast<std::size_t>(n)][static_cast<std::size_t>(k)]) continue;
            dz(n, e) += dgates(n, k) * rule.scale * rule.slope(z(n, e)) / divisors(n, 0);
            for (Size j = 0; rule.over != GateRule::nothing && j < E; ++j) {
                dz(n, j) -= members(n, j) * dgates(n, k) * gates(n, k) * rule.slope(z(n, j)) / divisors(n, 0);
            }
        }
    }
    sums.dx = sums.dx + dz * transposed(router);
    sums.put_into(out, in.at("x").shape);
    out["grad.router.w"] = {{C, E}, (transposed(x) * dz).values};
    if (method == "noisy-topk") out["grad.router.noise_w"] = {{C, E}, Matrix(C, E).values};  // without noise it does not matter
    if (method == "deepseek" && options.size("n_shared", 0) > 0) add_shared(options, in, out);
    return out;
}

}  // namespace tests::reference
