#pragma once
#include "engine/autograd/tape.h"
#include "nn/module.h"

namespace nn {

// y = x / √(mean x² + eps) ∘ weight, row by row (Zhang & Sennrich 2019, eq. 4).
class RmsNorm : public Module {
  public:
    explicit RmsNorm(Size channels, double eps = 1e-5);
    Var forward(engine::Tape& tape, const Var& x_NC) const;

  private:
    double eps_;
    Parameter weight_;
};

}  // namespace nn
