#include "engine/ops/activation.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "engine/kernels/activation.h"

namespace engine::ops {
namespace {

struct ActivationNode final : Node {
    Var x, z, y;
    Activation kind;

    ActivationNode(Var x_, Var z_, Var y_, Activation kind_) : x(std::move(x_)), z(std::move(z_)), y(std::move(y_)), kind(kind_) {}
    const char* name() const override { return "activation"; }
    bool is_reached() const override { return y.has_grad(); }
    void backward(Exec& exec) override {
        Tensor dx(exec, x.shape(), x.dtype()), dz = z.defined() ? Tensor(exec, x.shape(), x.dtype()) : Tensor();
        visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
            kernels::activation_backward<D, T>(exec, dx.rows<T>(), dz.defined() ? dz.rows<T>() : Rows<T>{}, nullptr, y.grad().rows<T>(),
                                               x.value().rows<T>(), z.defined() ? z.value().rows<T>() : Rows<const T>{}, nullptr, kind);
        });
        if (x.needs_grad()) x.give_grad(exec, dx);
        if (z.needs_grad()) z.give_grad(exec, dz);
    }
};

}  // namespace

Activation parse_activation(std::string_view name) {
    if (name == "relu") return Activation::relu;
    if (name == "gelu") return Activation::gelu;
    if (name == "gelu-tanh") return Activation::gelu_tanh;
    if (name == "silu") return Activation::silu;
    expect(name == "identity", "activation", "no such activation: got \"{}\", expected relu, gelu, gelu-tanh, silu or identity", name);
    return Activation::identity;
}

Var activation(Tape& tape, const Var& x, Activation kind, const Var& z) {
    ProfileScope profile("activation");
    expect(!z.defined() || z.shape() == x.shape(), "activation", "gate does not fit: got {}, expected {}",
           z.defined() ? z.shape().text() : "", x.shape().text());
    Exec& exec = tape.exec();
    bool recorded = tape.records({x, z});
    Var y(Tensor(exec, x.shape(), x.dtype()), recorded);
    visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
        kernels::activation<D, T>(exec, y.value().rows<T>(), x.value().rows<T>(), z.defined() ? z.value().rows<T>() : Rows<const T>{},
                                  kind);
    });
    if (recorded) tape.record(ActivationNode{x, z, y, kind});
    return y;
}

}  // namespace engine::ops
