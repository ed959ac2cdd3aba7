#include "engine/ops/linear.h"

#include "engine/autograd/shard_sum.h"
#include "engine/base/profile.h"
#include "engine/kernels/column_sum.h"
#include "engine/kernels/product.h"
#include "engine/ops/rounded.h"

namespace engine::ops {
namespace {

using kernels::Layout;

struct LinearNode final : Node {
    Var x, w_CF, b_F, y;

    LinearNode(Var x_, Var w, Var b, Var y_) : x(std::move(x_)), w_CF(std::move(w)), b_F(std::move(b)), y(std::move(y_)) {}
    const char* name() const override { return "linear"; }
    bool is_reached() const override { return y.has_grad(); }

    void backward(Exec& exec) override {
        Tensor dy = rounded(exec, y.grad(), x.dtype());
        Size N = x.shape().rows();
        if (x.needs_grad()) {
            GradSlot dx = x.grad_slot(exec);
            visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
                kernels::product<D, T, T>(exec, dx.tensor.rows<T>(), dy.rows<T>(), Layout::normal, w_CF.value().rows<T>(),
                                          Layout::transposed, dx.add);
            });
        }
        if (w_CF.needs_grad()) {
            sum_over_shards(exec, w_CF.grad_slot(exec), N, [&](const Tensor& out, bool add, Size first, Size count) {
                visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
                    kernels::product<D, T, Sum<T>>(exec, out.rows<Sum<T>>(), x.value().rows<T>().slice(first, count), Layout::transposed,
                                                   dy.rows<T>().slice(first, count), Layout::normal, add);
                });
            });
        }
        if (b_F.needs_grad()) {
            sum_over_shards(exec, b_F.grad_slot(exec), N, [&](const Tensor& out, bool add, Size first, Size count) {
                visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
                    kernels::column_sum<D, T>(exec, out.data<Sum<T>>(), dy.rows<T>().slice(first, count), add);
                });
            });
        }
    }
};

Var make_linear(Tape& tape, const Var& x, const Var& w_CF, const Var& b_F, bool wide) {
    ProfileScope profile("linear");
    expect(w_CF.shape().dims() == 2 && x.size(-1) == w_CF.size(0), "linear",
           "weight does not fit: got x {} and weight {}, expected weight ({}, F)", x.shape().text(), w_CF.shape().text(), x.size(-1));
    expect(!b_F.defined() || b_F.shape() == Shape{w_CF.size(1)}, "linear", "bias does not fit: got {}, expected ({})",
           b_F.defined() ? b_F.shape().text() : "none", w_CF.size(1));
    Exec& exec = tape.exec();
    Shape shape;
    for (int i = 0; i + 1 < x.shape().dims(); ++i) shape.append(x.size(i));
    shape.append(w_CF.size(1));
    bool recorded = tape.records({x, w_CF, b_F});
    Var y(Tensor(exec, shape, wide ? sum_dtype(x.dtype()) : x.dtype()), recorded);
    visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
        const T* bias = b_F.defined() ? b_F.value().data<T>() : nullptr;
        Rows<const T> in = x.value().rows<T>(), weight = w_CF.value().rows<T>();
        if (wide) {
            kernels::product<D, T, Sum<T>>(exec, y.value().rows<Sum<T>>(), in, Layout::normal, weight, Layout::normal, false, bias);
        } else {
            kernels::product<D, T, T>(exec, y.value().rows<T>(), in, Layout::normal, weight, Layout::normal, false, bias);
        }
    });
    if (recorded) tape.record(LinearNode{x, w_CF, b_F, y});
    return y;
}

}  // namespace

Var linear(Tape& tape, const Var& x, const Var& w_CF, const Var& b_F) { return make_linear(tape, x, w_CF, b_F, false); }
Var linear_wide(Tape& tape, const Var& x, const Var& w_CF, const Var& b_F) { return make_linear(tape, x, w_CF, b_F, true); }

}  // namespace engine::ops
