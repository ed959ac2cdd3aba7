#pragma once
// Choices of a row and their gates.
#include "nn/options.h"
#include "tests/support/reference/matrix.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tests::reference {

using Choice = std::vector<Size>;  // experts of one row, in order

// Columns by falling value, equal ones by index.
inline Choice falling(const Matrix& values, Size row) {
    Choice order(static_cast<std::size_t>(values.columns));
    std::iota(order.begin(), order.end(), Size{0});
    std::stable_sort(order.begin(), order.end(), [&](Size a, Size b) { return values(row, a) > values(row, b); });
    return order;
}
// The K first of every row.
inline std::vector<Choice> best(const Matrix& keys, Size K) {
    std::vector<Choice> ids;
    for (Size n = 0; n < keys.rows; ++n) {
        ids.push_back(falling(keys, n));
        ids.back().resize(static_cast<std::size_t>(K));
    }
    return ids;
}

inline double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }

// gate_k = scale·r(z_k)/D:  r is e^z, σ(z), z or 1;  D is 1, or the sum of r over all experts, the chosen, or the kept ones.
struct GateRule {
    enum { exponential, logistic, raw, one } r = one;
    enum { nothing, all, chosen, kept } over = nothing;
    double scale = 1;
    double value(double z) const { return r == exponential ? std::exp(z) : r == logistic ? sigmoid(z) : r == raw ? z : 1; }
    double slope(double z) const {
        return r == exponential ? std::exp(z) : r == logistic ? sigmoid(z) * (1 - sigmoid(z)) : r == raw ? 1 : 0;
    }
};

inline GateRule gate_rule(const nn::OptionTable& options) {
    std::string method = options.word("method"), gate = options.word("gate", "none");
    bool renormalised = method == "deepseek" && options.flag("renormalise", false);
    if (method == "noisy-topk") return {GateRule::exponential, GateRule::chosen};
    if (method == "switch") return {GateRule::exponential, GateRule::all};
    if (method == "gshard")
        return {GateRule::exponential, options.word("renormalise", "after") == "after" ? GateRule::kept : GateRule::chosen};
    if (method == "base" || method == "s-base") return {GateRule::logistic};
    if (method == "deepseek") {
        bool softmax = options.word("score", "softmax") == "softmax";
        return {softmax ? GateRule::exponential : GateRule::logistic,
                renormalised ? GateRule::chosen
                : softmax    ? GateRule::all
                             : GateRule::nothing,
                options.number("route_scale", 1.0)};
    }
    if (gate == "raw") return {GateRule::raw};
    if (gate == "sigmoid") return {GateRule::logistic};
    if (gate == "softmax-chosen") return {GateRule::exponential, GateRule::chosen};
    if (gate == "softmax-all") return {GateRule::exponential, GateRule::all};
    return {};
}

}  // namespace tests::reference
