#include "engine/ops/attention.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/rotary.h"
#include "engine/ops/concat_memory.h"
#include "engine/tensor/transfer.h"

#include <cmath>

namespace engine::ops {

Tensor rotary_table(const Exec& exec, Size count, Size head_size, Dtype dtype) {
    expect(head_size % 2 == 0, "rotary", "head size must be even: got {}", head_size);
    Size half = head_size / 2;
    std::vector<double> values(static_cast<std::size_t>(count * head_size));
    for (Size t = 0; t < count; ++t) {
        for (Size i = 0; i < half; ++i) {
            double angle = static_cast<double>(t) * std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(head_size));
            values[static_cast<std::size_t>(t * head_size + i)] = std::cos(angle);
            values[static_cast<std::size_t>(t * head_size + half + i)] = std::sin(angle);
        }
    }
    return from_host(exec, {count, head_size}, sum_dtype(dtype), values);
}

namespace {

// Heads of `rows` (B,T,heads·Sh) turned by their positions, which begin at `first`; in place where `to` is `from`.
void turn(Exec& exec, const Tensor& to, const Tensor& from, const Tensor& table, Size first, bool back) {
    Size T = from.size(1), Sh = table.size(1);
    expect(table.size(0) >= first + T, "attention", "too few rotary positions: got {}, expected {}", table.size(0), first + T);
    visit(exec, from.dtype(), [&]<class D, class E>(On<D, E>) {
        kernels::rotary<D, E>(exec, to.rows<E>(), from.rows<E>(), table.rows<Sum<E>>(), {T, from.size(2) / Sh, Sh, first}, back);
    });
}

// Queries, keys and values, (B,T,F) each; the first two turned where there is a table.
struct Parts {
    Tensor q, k, v;

    Parts(Exec& exec, const Tensor& qkv, const Tensor& table, Size first) : v(qkv.columns(qkv.size(2) / 3 * 2, qkv.size(2) / 3)) {
        Size F = qkv.size(2) / 3;
        Tensor both = qkv.columns(0, 2 * F);
        if (table.defined()) {
            both = Tensor(exec, {qkv.size(0), qkv.size(1), 2 * F}, qkv.dtype());
            turn(exec, both, qkv.columns(0, 2 * F), table, first, false);
        }
        q = both.columns(0, F);
        k = both.columns(F, F);
    }
    template <class E>
    kernels::AttentionInputs<E> inputs() const {
        return {q.rows<E>(), k.rows<E>(), v.rows<E>()};
    }
};

struct AttentionNode final : Node {
    Var qkv, y;
    Parts parts;
    Tensor lse, rotary;
    kernels::AttentionShape shape;

    AttentionNode(Var qkv_, Var y_, Parts parts_, Tensor lse_, Tensor rotary_, kernels::AttentionShape shape_)
        : qkv(std::move(qkv_)),
          y(std::move(y_)),
          parts(std::move(parts_)),
          lse(std::move(lse_)),
          rotary(std::move(rotary_)),
          shape(shape_) {}
    const char* name() const override { return "attention"; }
    bool is_reached() const override { return y.has_grad(); }

    void backward(Exec& exec) override {
        Size F = y.size(2);
        Tensor grad(exec, qkv.shape(), qkv.dtype());
        visit(exec, y.dtype(), [&]<class D, class E>(On<D, E>) {
            kernels::AttentionGradients<E> out{grad.columns(0, F).rows<E>(), grad.columns(F, F).rows<E>(),
                                               grad.columns(2 * F, F).rows<E>()};
            kernels::attention_backward<D, E>(exec, out, y.grad().rows<E>(), lse.data<Sum<E>>(), parts.inputs<E>(), shape);
        });
        Tensor turned = grad.columns(0, 2 * F);
        if (rotary.defined()) turn(exec, turned, turned, rotary, 0, true);
        qkv.give_grad(exec, grad);
    }
};

Size head_size(const Var& qkv, Size heads, const Tensor& rotary) {
    expect(qkv.shape().dims() == 3 && heads >= 1 && qkv.size(2) % (3 * heads) == 0, "attention",
           "queries, keys and values do not divide into heads: got {}, expected (B, T, 3·{}·S)", qkv.shape().text(), heads);
    Size Sh = qkv.size(2) / 3 / heads;
    expect(!rotary.defined() || rotary.size(1) == Sh, "attention", "rotary positions do not fit: got head size {}, expected {}",
           rotary.defined() ? rotary.size(1) : 0, Sh);
    return Sh;
}

void run(Exec& exec, const Tensor& y, const Tensor& lse, const Parts& parts, const kernels::AttentionShape& shape) {
    visit(exec, y.dtype(),
          [&]<class D, class E>(On<D, E>) { kernels::attention<D, E>(exec, y.rows<E>(), lse.data<Sum<E>>(), parts.inputs<E>(), shape); });
}

}  // namespace

Var attention(Tape& tape, const Var& qkv_BT3F, Size heads, const Tensor& rotary) {
    ProfileScope profile("attention");
    Exec& exec = tape.exec();
    Size B = qkv_BT3F.size(0), T = qkv_BT3F.size(1), Sh = head_size(qkv_BT3F, heads, rotary);
    bool recorded = tape.records({qkv_BT3F});
    kernels::AttentionShape shape{B, T, T, heads, Sh};
    Var y(Tensor(exec, {B, T, heads * Sh}, qkv_BT3F.dtype()), recorded);
    Tensor lse(exec, {B * heads * T}, sum_dtype(y.dtype()));
    Parts parts(exec, qkv_BT3F.value(), rotary, 0);
    run(exec, y.value(), lse, parts, shape);
    if (recorded) tape.record(AttentionNode{qkv_BT3F, y, parts, lse, rotary, shape});
    return y;
}

Var attention_step(Tape& tape, const Var& qkv_Bt3F, Size heads, const Tensor& rotary, Tensor& keys_BSF, Tensor& values_BSF) {
    ProfileScope profile("attention");
    Exec& exec = tape.exec();
    Size B = qkv_Bt3F.size(0), T = qkv_Bt3F.size(1), Sh = head_size(qkv_Bt3F, heads, rotary);
    if (!keys_BSF.defined()) keys_BSF = values_BSF = Tensor(exec, {B, 0, heads * Sh}, qkv_Bt3F.dtype());
    Parts parts(exec, qkv_Bt3F.value(), rotary, keys_BSF.size(1));
    keys_BSF = parts.k = concat_memory(tape, keys_BSF, Var(parts.k)).value();
    values_BSF = parts.v = concat_memory(tape, values_BSF, Var(parts.v)).value();
    Var y(Tensor(exec, {B, T, heads * Sh}, qkv_Bt3F.dtype()));
    Tensor lse(exec, {B * heads * T}, sum_dtype(y.dtype()));
    run(exec, y.value(), lse, parts, {B, T, keys_BSF.size(1), heads, Sh});
    return y;
}

}  // namespace engine::ops
