#include "engine/ops/concat_memory.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "engine/kernels/move_rows.h"

namespace engine::ops {
namespace {

struct ConcatMemoryNode final : Node {
    Var x, y;

    ConcatMemoryNode(Var x_, Var y_) : x(std::move(x_)), y(std::move(y_)) {}
    const char* name() const override { return "concat_memory"; }
    bool is_reached() const override { return y.has_grad(); }
    void backward(Exec& exec) override {
        Size B = x.size(0), T = x.size(1), S = y.size(1);
        GradSlot dx = x.grad_slot(exec);
        visit(exec, x.dtype(), [&]<class D, class E>(On<D, E>) {
            kernels::move_rows<D, E>(exec, dx.tensor.rows<E>(), y.grad().rows<E>(), {B, T, T, 0, S, S - T}, dx.add);
        });
    }
};

}  // namespace

Var concat_memory(Tape& tape, const Tensor& memory_BMC, const Var& x_BTC) {
    ProfileScope profile("concat_memory");
    expect(memory_BMC.shape().dims() == 3 && x_BTC.shape().dims() == 3 && memory_BMC.size(0) == x_BTC.size(0) &&
               memory_BMC.size(2) == x_BTC.size(2),
           "concat_memory", "memory does not fit: got {}, expected (B, M, C) for rows {}", memory_BMC.shape().text(), x_BTC.shape().text());
    Exec& exec = tape.exec();
    Size B = x_BTC.size(0), M = memory_BMC.size(1), T = x_BTC.size(1);
    bool recorded = tape.records({x_BTC});
    Var y(Tensor(exec, {B, M + T, x_BTC.size(2)}, x_BTC.dtype()), recorded);
    visit(exec, x_BTC.dtype(), [&]<class D, class E>(On<D, E>) {
        Rows<E> out = y.value().rows<E>();
        kernels::move_rows<D, E>(exec, out, memory_BMC.rows<E>(), {B, M, M + T, 0, M, 0}, false);
        kernels::move_rows<D, E>(exec, out, x_BTC.value().rows<E>(), {B, T, M + T, M, T, 0}, false);
    });
    if (recorded) tape.record(ConcatMemoryNode{x_BTC, y});
    return y;
}

}  // namespace engine::ops
