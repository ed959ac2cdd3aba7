#include "engine/ops/xl_attention.h"

#include "engine/autograd/shard_sum.h"
#include "engine/base/profile.h"
#include "engine/kernels/product.h"
#include "engine/kernels/xl_attention.h"
#include "engine/ops/rounded.h"
#include "engine/tensor/transfer.h"

#include <cmath>

namespace engine::ops {

using kernels::Layout;
using kernels::XlAttentionShape;

Tensor sinusoid_positions(Exec& exec, Size count, Size C, Dtype dtype) {
    expect(C % 2 == 0, "xl-attention", "channels must be even: got {}", C);
    std::vector<double> values(static_cast<std::size_t>(count * C));
    for (Size t = 0; t < count; ++t) {
        for (Size i = 0; i < C / 2; ++i) {
            double angle = static_cast<double>(t - (count - 1)) * std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(C));
            values[static_cast<std::size_t>(t * C + 2 * i)] = std::sin(angle);
            values[static_cast<std::size_t>(t * C + 2 * i + 1)] = std::cos(angle);
        }
    }
    return from_host(exec, {count, C}, dtype, values);
}

namespace {

template <class T>
kernels::XlAttentionInputs<T> inputs_of(const Var& q, const Var& k, const Var& v, const Tensor& r, const XlAttentionParameters& p) {
    return {q.value().rows<T>(),
            k.value().rows<T>(),
            v.value().rows<T>(),
            r.rows<T>(),
            p.content_bias.value().data<T>(),
            p.position_bias.value().data<T>(),
            p.scale.value().data<T>()};
}

struct XlAttentionNode final : Node {
    Var q, k, v, y;
    XlAttentionParameters parameters;
    Tensor positions_SC, r_SF, lse;
    kernels::XlAttentionShape shape;

    const char* name() const override { return "xl_attention"; }
    bool is_reached() const override { return y.has_grad(); }

    void backward(Exec& exec) override {
        Dtype wide = sum_dtype(y.dtype());
        GradSlot dq = q.grad_slot(exec), dk = k.grad_slot(exec), dv = v.grad_slot(exec);
        Size C = positions_SC.size(1), F = shape.H * shape.Sh, stride = parameters.position_CF.value().row_stride();
        // The parameters' gradients as one flat sum: pos.w, u, v, scale.
        Size bias_at = C * stride, total = bias_at + 2 * F + 1;
        Tensor sums(exec, {total}, wide);
        sum_over_shards(exec, {sums, false}, shape.B, [&](const Tensor& out, bool, Size first, Size count) {
            Tensor dr(exec, {shape.S, F}, wide);
            visit(exec, y.dtype(), [&]<class D, class T>(On<D, T>) {
                using S = Sum<T>;
                S* biases = out.data<S>() + bias_at;
                kernels::XlAttentionGradients<T> gradients{
                    dq.tensor.rows<T>(), dk.tensor.rows<T>(), dv.tensor.rows<T>(), dq.add, dk.add, dv.add, dr.rows<S>(), biases,
                    biases + F,          biases + 2 * F};
                kernels::xl_attention_backward<D, T>(exec, gradients, y.grad().rows<T>(), lse.data<S>(),
                                                     inputs_of<T>(q, k, v, r_SF, parameters), shape, first, count);
            });
            // dW = positionsᵀ·dr, with dr rounded as every product's operand is.
            Tensor dw = out.view_at(0, {C, F}, stride), narrow = rounded(exec, dr, y.dtype());
            visit(exec, y.dtype(), [&]<class D, class T>(On<D, T>) {
                kernels::product<D, T, Sum<T>>(exec, dw.rows<Sum<T>>(), positions_SC.rows<T>(), Layout::transposed, narrow.rows<T>(),
                                               Layout::normal, false);
            });
        });
        parameters.position_CF.give_grad(exec, sums.view_at(0, {C, F}, stride));
        parameters.content_bias.give_grad(exec, sums.view_at(bias_at, {shape.H, shape.Sh}, shape.Sh));
        parameters.position_bias.give_grad(exec, sums.view_at(bias_at + F, {shape.H, shape.Sh}, shape.Sh));
        parameters.scale.give_grad(exec, sums.view_at(bias_at + 2 * F, {1}, 1));
    }
};

kernels::XlAttentionShape shape_of(const Var& q, const Var& k, const Var& v, const XlAttentionParameters& parameters) {
    Size B = q.size(0), T = q.size(1), S = k.size(1), F = q.size(2), H = parameters.content_bias.size(0),
         Sh = parameters.content_bias.size(1);
    expect(F == H * Sh && k.shape() == v.shape() && k.size(0) == B && k.size(2) == F && S >= T, "xl-attention",
           "shapes do not fit: got q {}, k {}, v {}, u {}", q.shape().text(), k.shape().text(), v.shape().text(),
           parameters.content_bias.shape().text());
    return {B, T, S, H, Sh};
}

void attend(Exec& exec, const Var& y, const Tensor& lse, const Var& q, const Var& k, const Var& v, const Tensor& r_SF,
            const XlAttentionParameters& parameters, kernels::XlAttentionShape shape) {
    visit(exec, q.dtype(), [&]<class D, class E>(On<D, E>) {
        kernels::xl_attention<D, E>(exec, y.value().rows<E>(), lse.data<Sum<E>>(), inputs_of<E>(q, k, v, r_SF, parameters), shape);
    });
}

}  // namespace

Tensor project_positions(Exec& exec, const Tensor& positions_SC, const Var& position_CF) {
    Tensor r_SF(exec, {positions_SC.size(0), position_CF.size(1)}, position_CF.dtype());
    visit(exec, r_SF.dtype(), [&]<class D, class E>(On<D, E>) {
        kernels::product<D, E, E>(exec, r_SF.rows<E>(), positions_SC.rows<E>(), Layout::normal, position_CF.value().rows<E>(),
                                  Layout::normal, false);
    });
    return r_SF;
}

Var xl_attention_projected(Tape& tape, const Var& q, const Var& k, const Var& v, const Tensor& r_SF,
                           const XlAttentionParameters& parameters) {
    ProfileScope profile("xl_attention");
    kernels::XlAttentionShape shape = shape_of(q, k, v, parameters);
    expect(r_SF.size(0) == shape.S && !tape.records({q, k, v}), "xl-attention",
           "projected positions are for decoding: got {} rows for {} keys", r_SF.size(0), shape.S);
    Var y(Tensor(tape.exec(), q.shape(), q.dtype()));
    Tensor lse(tape.exec(), {shape.B * shape.H * shape.T}, sum_dtype(q.dtype()));
    attend(tape.exec(), y, lse, q, k, v, r_SF, parameters, shape);
    return y;
}

Var xl_attention(Tape& tape, const Var& q, const Var& k, const Var& v, const Tensor& positions_SC,
                 const XlAttentionParameters& parameters) {
    ProfileScope profile("xl_attention");
    kernels::XlAttentionShape shape = shape_of(q, k, v, parameters);
    expect(positions_SC.size(0) == shape.S && positions_SC.size(1) == parameters.position_CF.size(0), "xl-attention",
           "positions do not fit: got {}, expected ({}, {})", positions_SC.shape().text(), shape.S, parameters.position_CF.size(0));
    Exec& exec = tape.exec();
    bool recorded = tape.records({q, k, v, parameters.position_CF, parameters.content_bias, parameters.position_bias, parameters.scale});
    Var y(Tensor(exec, q.shape(), q.dtype()), recorded);
    Tensor lse(exec, {shape.B * shape.H * shape.T}, sum_dtype(q.dtype()));
    Tensor r_SF = project_positions(exec, positions_SC, parameters.position_CF);
    attend(exec, y, lse, q, k, v, r_SF, parameters, shape);
    if (recorded) {
        XlAttentionNode node;
        node.q = q, node.k = k, node.v = v, node.y = y, node.parameters = parameters;
        node.positions_SC = positions_SC, node.r_SF = r_SF, node.lse = lse, node.shape = shape;
        tape.record(std::move(node));
    }
    return y;
}

}  // namespace engine::ops
