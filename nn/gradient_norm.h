#pragma once
#include "nn/parameter_store.h"

#include <vector>

namespace nn {

// √Σ g² over all gradients of all ranks, in an order that no layout changes: each rank forms the sums of what it holds, an expert's by
// itself, and ranks that share experts tell each other theirs.
class GradientNorm {
  public:
    GradientNorm(engine::Exec& exec, const ParameterStore& store);

    // Also writes the clip factor for this norm into the step's scalars. Nothing waits for the device; ranks that share experts wait for
    // each other.
    void update(engine::Exec& exec, const ParameterStore& store, engine::StepScalars* scalars, double clip);
    // Of the last update. Waits for the device.
    double read(engine::Exec& exec) const;

  private:
    // Rows of gradients that are summed each by itself: a parameter's experts, or one row of all that ranks never share.
    struct Piece {
        Size offset = 0, rows = 0, columns = 0;  // of this rank
        int sharers = 1;
        Size first = 0;      // of this rank's rows among all
        Size first_sum = 0;  // in sums_, of all ranks' rows
    };
    std::vector<Piece> pieces_;
    Tensor sums_;
    Tensor norm_;  // (1)
};

}  // namespace nn
