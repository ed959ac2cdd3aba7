#include "engine/ops/slice_rows.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "engine/kernels/move_rows.h"
#include "engine/tensor/transfer.h"

namespace engine::ops {
namespace {

struct SliceRowsNode final : Node {
    Var x, y;

    SliceRowsNode(Var x_, Var y_) : x(std::move(x_)), y(std::move(y_)) {}
    const char* name() const override { return "slice_rows"; }
    bool is_reached() const override { return y.has_grad(); }
    void backward(Exec& exec) override {
        Size B = x.size(0), S = x.size(1), T = y.size(1);
        GradSlot dx = x.grad_slot(exec);
        if (!dx.add) fill_zero(exec, dx.tensor);
        visit(exec, x.dtype(), [&]<class D, class E>(On<D, E>) {
            kernels::move_rows<D, E>(exec, dx.tensor.rows<E>(), y.grad().rows<E>(), {B, T, S, S - T, T, 0}, true);
        });
    }
};

}  // namespace

Var slice_rows(Tape& tape, const Var& x_BSC, Size T) {
    expect(x_BSC.shape().dims() == 3 && T >= 0 && T <= x_BSC.size(1), "slice_rows", "cannot take the last {} positions of {}", T,
           x_BSC.shape().text());
    if (T == x_BSC.size(1)) return x_BSC;
    ProfileScope profile("slice_rows");
    Exec& exec = tape.exec();
    Size B = x_BSC.size(0), S = x_BSC.size(1);
    bool recorded = tape.records({x_BSC});
    Var y(Tensor(exec, {B, T, x_BSC.size(2)}, x_BSC.dtype()), recorded);
    visit(exec, x_BSC.dtype(), [&]<class D, class E>(On<D, E>) {
        kernels::move_rows<D, E>(exec, y.value().rows<E>(), x_BSC.value().rows<E>(), {B, T, T, 0, S, S - T}, false);
    });
    if (recorded) tape.record(SliceRowsNode{x_BSC, y});
    return y;
}

}  // namespace engine::ops
