#include "moe/ops/residual_mix.h"

#include "engine/base/error.h"
#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "moe/kernels/residual_mix.h"

namespace moe::ops {

using namespace engine;

namespace {

struct ResidualMixNode final : Node {
    Var y, x, alpha, out;

    ResidualMixNode(Var y_, Var x_, Var alpha_, Var out_)
        : y(std::move(y_)), x(std::move(x_)), alpha(std::move(alpha_)), out(std::move(out_)) {}
    const char* name() const override { return "residual_mix"; }
    bool is_reached() const override { return out.has_grad(); }
    void backward(Exec& exec) override {
        Tensor dalpha = packed_tensor(exec, alpha.shape(), alpha.dtype());
        // Without a gradient of its own x takes none: a buffer that is dropped.
        GradSlot dx = x.needs_grad() ? x.grad_slot(exec) : GradSlot{Tensor(exec, x.shape(), x.dtype()), false};
        visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
            kernels::residual_mix_backward<D, T>(exec, dx.tensor.rows<T>(), dx.add, dalpha.data<Sum<T>>(), out.grad().rows<T>(),
                                                 x.value().rows<T>(), alpha.value().data<Sum<T>>());
        });
        if (alpha.needs_grad()) alpha.give_grad(exec, dalpha);
        if (y.needs_grad()) y.give_grad(exec, out.grad());
    }
};

}  // namespace

Var residual_mix(Tape& tape, const Var& y_NC, const Var& x_NC, const Var& alpha_N1) {
    ProfileScope profile("residual_mix");
    expect(y_NC.shape() == x_NC.shape() && alpha_N1.shape().elements() == x_NC.shape().rows(), "residual_mix",
           "shapes do not fit: got y {}, x {}, alpha {}", y_NC.shape().text(), x_NC.shape().text(), alpha_N1.shape().text());
    Exec& exec = tape.exec();
    bool recorded = tape.records({y_NC, x_NC, alpha_N1});
    Var out(Tensor(exec, x_NC.shape(), x_NC.dtype()), recorded);
    visit(exec, x_NC.dtype(), [&]<class D, class T>(On<D, T>) {
        kernels::residual_mix<D, T>(exec, out.value().rows<T>(), y_NC.value().rows<T>(), x_NC.value().rows<T>(),
                                    alpha_N1.value().data<Sum<T>>());
    });
    if (recorded) tape.record(ResidualMixNode{y_NC, x_NC, alpha_N1, out});
    return out;
}

}  // namespace moe::ops
