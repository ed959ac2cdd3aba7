#pragma once
#include "engine/tensor/tensor.h"

#include <memory>

namespace engine {

// Where a backward pass puts its share of a gradient: writes it, or adds to what earlier shares left.
struct GradSlot {
    Tensor tensor;
    bool add = false;
};

// A value that gradients may flow to. A copy is another handle on the same value.
class Var {
  public:
    Var() = default;
    explicit Var(Tensor value, bool needs_grad = false);
    // A parameter: its gradient has a fixed place, of dtype Sum<T>, which starts unwritten.
    static Var parameter(Tensor value, Tensor grad);

    bool defined() const { return state_ != nullptr; }
    const Tensor& value() const { return state_->value; }
    const Shape& shape() const { return state_->value.shape(); }
    Size size(int dim) const { return state_->value.size(dim); }
    Dtype dtype() const { return state_->value.dtype(); }
    bool needs_grad() const { return state_ != nullptr && state_->needs_grad; }
    bool is_parameter() const { return state_->fixed_grad; }

    bool has_grad() const { return state_->grad_written; }
    const Tensor& grad() const;
    // Opens the gradient for one more share. A gradient that another value shares is copied first.
    GradSlot grad_slot(const Exec& exec) const;
    // One more share, which the caller no longer changes: kept without a copy where it is the first.
    void give_grad(Exec& exec, const Tensor& share) const;
    void forget_grad() const;
    // No share comes any more until forget_grad or expect_grad: one that does is an error.
    void close_grad() const { state_->grad_closed = true; }
    void expect_grad() const { state_->grad_closed = false; }
    // Copies have the same, other values have others.
    const void* identity() const { return state_.get(); }

  private:
    struct State {
        Tensor value;
        Tensor grad;
        bool needs_grad = false;
        bool fixed_grad = false;
        bool grad_written = false;
        bool grad_closed = false;
    };
    std::shared_ptr<State> state_;
};

}  // namespace engine
