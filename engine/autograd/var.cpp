#include "engine/autograd/var.h"

#include "engine/base/error.h"
#include "engine/base/visit.h"
#include "engine/kernels/elementwise.h"
#include "engine/tensor/transfer.h"

namespace engine {

Var::Var(Tensor value, bool needs_grad) : state_(std::make_shared<State>()) {
    state_->value = std::move(value);
    state_->needs_grad = needs_grad;
}

Var Var::parameter(Tensor value, Tensor grad) {
    expect(grad.shape() == value.shape() && grad.dtype() == sum_dtype(value.dtype()), "parameter",
           "gradient does not fit: got {} {}, expected {} {}", grad.shape().text(), dtype_name(grad.dtype()), value.shape().text(),
           dtype_name(sum_dtype(value.dtype())));
    Var result(std::move(value), true);
    result.state_->grad = std::move(grad);
    result.state_->fixed_grad = true;
    return result;
}

const Tensor& Var::grad() const {
    expect(state_->grad_written, "var", "no gradient has reached this value");
    return state_->grad;
}

GradSlot Var::grad_slot(const Exec& exec) const {
    State& state = *state_;
    expect(!state.grad_closed, "var",
           "a share of a gradient that was taken as complete: its op must name all inputs that it gives gradients to (Tape::records)");
    bool add = state.grad_written;
    state.grad_written = true;
    if (state.fixed_grad) return {state.grad, add};
    if (!add) {
        state.grad = Tensor(exec, state.value.shape(), state.value.dtype());
    } else if (!state.grad.is_unshared()) {
        Tensor own(exec, state.value.shape(), state.value.dtype());
        copy(exec, own, state.grad);
        state.grad = own;
    }
    return {state.grad, add};
}

void Var::give_grad(Exec& exec, const Tensor& share) const {
    State& state = *state_;
    if (!state.grad_written && !state.fixed_grad) {
        state.grad = share;
        state.grad_written = true;
        return;
    }
    GradSlot slot = grad_slot(exec);
    if (!slot.add) return copy(exec, slot.tensor, share);
    visit(exec, share.dtype(), [&]<class D, class T>(On<D, T>) { kernels::add_into<D, T>(exec, slot.tensor.rows<T>(), share.rows<T>()); });
}

void Var::forget_grad() const {
    state_->grad_written = state_->grad_closed = false;
    if (!state_->fixed_grad) state_->grad = Tensor();
}

}  // namespace engine
