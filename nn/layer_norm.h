#pragma once
#include "engine/autograd/tape.h"
#include "nn/module.h"

namespace nn {

// y = (x − mean) / √(variance + eps) ∘ weight + bias, row by row; biased variance.
class LayerNorm : public Module {
  public:
    explicit LayerNorm(Size channels, double eps = 1e-5);
    Var forward(engine::Tape& tape, const Var& x_NC) const;

  private:
    double eps_;
    Parameter weight_, bias_;
};

}  // namespace nn
