#pragma once
#include "engine/kernels/step_scalars.h"
#include "nn/parameter_store.h"

#include <vector>

namespace nn {

// √Σ g² over all gradients of all ranks, in an order that no layout changes: each rank forms the sums of what it holds, an expert's by
// itself, a table's by strips of columns, or of the blocks that begin in its part of a cut, and ranks tell each other theirs.
class GradientNorm {
  public:
    GradientNorm(engine::Exec& exec, const ParameterStore& store);

    // Also writes the clip factor for this norm into the step's scalars. Nothing waits for the device; ranks that share parameters wait
    // for each other.
    void update(engine::Exec& exec, const ParameterStore& store, engine::StepScalars* scalars, double clip);
    // Where the block ends that an element stands in, which no rank shares.
    Size end_of_block(Size element) const;
    // Of the last update. Waits for the device.
    double read(engine::Exec& exec) const;

  private:
    // Rows of gradients that are cut into blocks, each summed by itself: a parameter's experts, or one row of all that ranks never share;
    // or a table as one row, whose blocks are whole rows of it, each summed by strips of columns (engine/kernels/strips.h).
    struct Piece {
        Size offset = 0, rows = 0, columns = 0;  // of this rank
        Size block = engine::kernels::kSquaresBlock;
        Size width = 0, strips = 0;  // of a table, of this rank
        int sharers = 1;
        Size first = 0;      // of this rank's rows, or strips, among all
        Size first_sum = 0;  // in sums_, of all ranks' rows; a table's are those of its first strip, then its next
        Size parts() const { return strips > 0 ? strips : rows; }
        Size blocks_of_row() const { return (columns + block - 1) / block; }
    };
    using Range = engine::Range;
    static Piece piece_of(const ParameterStore& store, const ParameterStore::Place& place);
    // Of this rank's of a piece, those that begin in a part of a cut.
    static Range blocks_in(const Piece& piece, Range part);
    // Blocks of a piece that begin before an element.
    static Size blocks_before(const Piece& piece, Size element);
    // Blocks of this rank's rows.
    void sum_blocks(engine::Exec& exec, const ParameterStore& store, const Piece& piece, Range blocks);
    void share_cut(engine::Exec& exec);

    std::vector<Piece> pieces_;
    std::vector<std::vector<Range>> cut_;  // of each rank of a cut, in sums_: what begins in its part
    Tensor sums_;
    Tensor norm_;  // (1)
};

}  // namespace nn
