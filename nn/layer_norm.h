#pragma once
#include "engine/autograd/tape.h"
#include "nn/module.h"

namespace nn {

// y = (x − mean) / √(variance + 1e-5) ∘ weight + bias, row by row; biased variance.
class LayerNorm : public Module {
  public:
    explicit LayerNorm(Size channels);
    Var forward(engine::Tape& tape, const Var& x_NC) const;

  private:
    Parameter weight_, bias_;
};

}  // namespace nn
