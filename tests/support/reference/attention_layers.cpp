#include "tests/support/reference/attention.h"
#include "tests/support/reference/layers.h"
#include "tests/support/reference/matrix.h"

namespace tests::reference {
namespace {

Matrix with_values(Size rows, Size columns, std::vector<double> values) {
    Matrix result(rows, columns);
    result.values = std::move(values);
    return result;
}

}  // namespace

Arrays attention(const nn::OptionTable& options, const Arrays& in) {
    engine::Shape shape = in.at("x").shape;
    Size C = shape[2], H = options.size("heads");
    AttentionCase c{shape[0], shape[1], H, C / H, options.flag("rope", false)};
    bool bias = options.flag("bias", false);
    Matrix x(in.at("x")), dy(in.at("dy")), qkv_w = parameter(in, "qkv.w", {C, 3 * C}), out_w = parameter(in, "out.w", {C, C});
    Matrix qkv_b = bias ? parameter(in, "qkv.b", {3 * C}) : Matrix(1, 3 * C), out_b = bias ? parameter(in, "out.b", {C}) : Matrix(1, C);
    Matrix qkv = x * qkv_w;
    for (Size n = 0; n < qkv.rows; ++n) {
        for (Size j = 0; j < 3 * C; ++j) qkv(n, j) += qkv_b(0, j);
    }
    AttentionResults heads = attend(c, qkv.values, (dy * transposed(out_w)).values);
    Matrix h = with_values(x.rows, C, heads.y), dqkv = with_values(x.rows, 3 * C, heads.dqkv), y = h * out_w;
    for (Size n = 0; n < y.rows; ++n) {
        for (Size j = 0; j < C; ++j) y(n, j) += out_b(0, j);
    }
    Arrays out = {{"y", {shape, y.values}},
                  {"dx", {shape, (dqkv * transposed(qkv_w)).values}},
                  {"grad.qkv.w", {{C, 3 * C}, (transposed(x) * dqkv).values}},
                  {"grad.out.w", {{C, C}, (transposed(h) * dy).values}}};
    if (bias) {
        out["grad.qkv.b"] = {{3 * C}, column_sums(dqkv).values};
        out["grad.out.b"] = {{C}, column_sums(dy).values};
    }
    return out;
}

Arrays xl_attention(const nn::OptionTable& options, const Arrays& in) {
    engine::Shape shape = in.at("x").shape;
    Size B = shape[0], T = shape[1], C = shape[2], H = options.size("heads"), Sh = options.size("head_size"), F = H * Sh;
    Size M = in.contains("memory") ? in.at("memory").shape[1] : 0, S = M + T;
    XlCase c{B, T, M, H, Sh, C};
    Matrix x(in.at("x")), dy(in.at("dy")), full(B * S, C);
    for (Size b = 0; b < B; ++b) {
        for (Size j = 0; j < S; ++j) {
            for (Size i = 0; i < C; ++i) full(b * S + j, i) = j < M ? Matrix(in.at("memory"))(b * M + j, i) : x(b * T + j - M, i);
        }
    }
    Matrix q_w = parameter(in, "q.w", {C, F}), k_w = parameter(in, "k.w", {C, F}), v_w = parameter(in, "v.w", {C, F}),
           pos_w = parameter(in, "pos.w", {C, F}), out_w = parameter(in, "out.w", {F, C});
    XlResults heads =
        attend_xl(c, {(x * q_w).values, (full * k_w).values, (full * v_w).values, pos_w.values, parameter(in, "u", {H, Sh}).values,
                      parameter(in, "v", {H, Sh}).values, parameter(in, "scale", {1}).values, (dy * transposed(out_w)).values});
    Matrix h = with_values(B * T, F, heads.tensors[0]), dq = with_values(B * T, F, heads.tensors[1]),
           dk = with_values(B * S, F, heads.tensors[2]), dv = with_values(B * S, F, heads.tensors[3]);
    Matrix dx = dq * transposed(q_w), dfull = dk * transposed(k_w) + dv * transposed(v_w);
    for (Size n = 0; n < B * T; ++n) {
        for (Size i = 0; i < C; ++i) dx(n, i) += dfull(n / T * S + M + n % T, i);
    }
    return {{"y", {shape, (h * out_w).values}},
            {"dx", {shape, dx.values}},
            {"grad.q.w", {{C, F}, (transposed(x) * dq).values}},
            {"grad.k.w", {{C, F}, (transposed(full) * dk).values}},
            {"grad.v.w", {{C, F}, (transposed(full) * dv).values}},
            {"grad.pos.w", {{C, F}, heads.tensors[4]}},
            {"grad.u", {{H, Sh}, heads.tensors[5]}},
            {"grad.v", {{H, Sh}, heads.tensors[6]}},
            {"grad.scale", {{1}, heads.tensors[7]}},
            {"grad.out.w", {{F, C}, (transposed(h) * dy).values}}};
}

Arrays layer(const nn::OptionTable& options, const Arrays& in) {
    std::string method = options.word("method");
    if (method == "attention") return attention(options, in);
    if (method == "xl-attention") return xl_attention(options, in);
    if (method == "gmlp" || method == "smlp") return spatial(options, in);
    if (method == "layer-norm" || method == "rms-norm") return norm(options, in);
    if (method == "avg-k" || method == "vanilla-m") return key_blocks(options, in);
    if (method == "hash" || method == "rand-hash") return hashed(options, in);
    if (method == "expert-choice") return chosen_by_experts(options, in);
    for (const char* router : {"noisy-topk", "switch", "gshard", "base", "s-base", "deepseek"}) {
        if (method == router) return routers(options, in);
    }
    return options.contains("n_experts") ? experts(options, in) : block(options, in);
}

}  // namespace tests::reference
