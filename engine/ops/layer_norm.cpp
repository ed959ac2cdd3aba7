#include "engine/ops/layer_norm.h"

#include "engine/autograd/shard_sum.h"
#include "engine/base/profile.h"
#include "engine/kernels/layer_norm.h"

namespace engine::ops {
namespace {

struct LayerNormNode final : Node {
    Var x, weight_C, bias_C, y;
    Tensor mean_N;  // undefined for the root-mean-square norm
    Tensor rate_N;

    LayerNormNode(Var x_, Var w, Var b, Var y_, Tensor mean, Tensor rate)
        : x(std::move(x_)),
          weight_C(std::move(w)),
          bias_C(std::move(b)),
          y(std::move(y_)),
          mean_N(std::move(mean)),
          rate_N(std::move(rate)) {}
    const char* name() const override { return "layer_norm"; }
    bool is_reached() const override { return y.has_grad(); }

    void backward(Exec& exec) override {
        if (x.needs_grad()) {
            GradSlot dx = x.grad_slot(exec);
            visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
                kernels::layer_norm_backward<D, T>(exec, dx.tensor.rows<T>(), dx.add, y.grad().rows<T>(), x.value().rows<T>(),
                                                   weight_C.value().data<T>(), mean<T>(), rate_N.data<Sum<T>>());
            });
        }
        if (!weight_C.needs_grad()) return;
        // Weight and bias as the two rows of one sum.
        Size C = x.shape().columns();
        Tensor both(exec, {2, C}, sum_dtype(x.dtype()));
        sum_over_shards(exec, {both, false}, x.shape().rows(), [&](const Tensor& out, bool, Size first, Size count) {
            visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
                Rows<Sum<T>> sums = out.rows<Sum<T>>();
                const Sum<T>* means = mean<T>();
                kernels::layer_norm_weight_gradient<D, T>(exec, sums.row(0), sums.row(1), y.grad().rows<T>().slice(first, count),
                                                          x.value().rows<T>().slice(first, count),
                                                          means != nullptr ? means + first : nullptr, rate_N.data<Sum<T>>() + first, false);
            });
        });
        weight_C.give_grad(exec, both.row_range(0, 1).reshaped({C}));
        if (bias_C.defined()) bias_C.give_grad(exec, both.row_range(1, 1).reshaped({C}));
    }
    template <class T>
    const Sum<T>* mean() const {
        return mean_N.defined() ? mean_N.data<Sum<T>>() : nullptr;
    }
};

Var make_norm(Tape& tape, const Var& x, const Var& weight_C, const Var& bias_C, bool centred, double eps) {
    ProfileScope profile("layer_norm");
    Shape expected{x.size(-1)};
    expect(weight_C.shape() == expected && (!bias_C.defined() || bias_C.shape() == expected), "layer_norm",
           "weight must have one value a channel: got {}, expected {}", weight_C.shape().text(), expected.text());
    Exec& exec = tape.exec();
    bool recorded = tape.records({x, weight_C, bias_C});
    Var y(Tensor(exec, x.shape(), x.dtype()), recorded);
    Shape per_row{x.shape().rows()};
    Tensor mean = centred ? Tensor(exec, per_row, sum_dtype(x.dtype())) : Tensor();
    Tensor rate(exec, per_row, sum_dtype(x.dtype()));
    visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
        kernels::layer_norm<D, T>(exec, y.value().rows<T>(), centred ? mean.data<Sum<T>>() : nullptr, rate.data<Sum<T>>(),
                                  x.value().rows<T>(), weight_C.value().data<T>(), bias_C.defined() ? bias_C.value().data<T>() : nullptr,
                                  eps);
    });
    if (recorded) tape.record(LayerNormNode{x, weight_C, bias_C, y, mean, rate});
    return y;
}

}  // namespace

Var layer_norm(Tape& tape, const Var& x, const Var& weight_C, const Var& bias_C, double eps) {
    return make_norm(tape, x, weight_C, bias_C, true, eps);
}
Var rms_norm(Tape& tape, const Var& x, const Var& weight_C, double eps) { return make_norm(tape, x, weight_C, Var(), false, eps); }

}  // namespace engine::ops
