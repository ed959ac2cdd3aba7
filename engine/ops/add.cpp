#include "engine/ops/add.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "engine/kernels/elementwise.h"

namespace engine::ops {
namespace {

struct AddNode final : Node {
    Var x, y, z;

    AddNode(Var x_, Var y_, Var z_) : x(std::move(x_)), y(std::move(y_)), z(std::move(z_)) {}
    const char* name() const override { return "add"; }
    bool is_reached() const override { return z.has_grad(); }
    void backward(Exec& exec) override {
        if (x.needs_grad()) x.give_grad(exec, z.grad());
        if (y.needs_grad()) y.give_grad(exec, z.grad());
    }
};

}  // namespace

Var add(Tape& tape, const Var& x, const Var& y) {
    ProfileScope profile("add");
    expect(x.shape() == y.shape(), "add", "shapes differ: got {} and {}", x.shape().text(), y.shape().text());
    Exec& exec = tape.exec();
    bool recorded = tape.records({x, y});
    Var z(Tensor(exec, x.shape(), x.dtype()), recorded);
    visit(exec, x.dtype(),
          [&]<class D, class T>(On<D, T>) { kernels::add<D, T>(exec, z.value().rows<T>(), x.value().rows<T>(), y.value().rows<T>()); });
    if (recorded) tape.record(AddNode{x, y, z});
    return z;
}

}  // namespace engine::ops
