#pragma once
#include "nn/feed_forward.h"

namespace nn {

// What a mixer remembers of a stream while it decodes: rows (B,seen,·) of earlier positions; ids and gates (B,·) of a choice that the
// first positions made.
struct MixerCache {
    Tensor rows, ids, gates;
};

// A layer in place of attention: positions of a window of fixed length meet through weights of its own.
class Mixer : public FeedForward {
  public:
    bool mixes_positions() const final { return true; }
    // Rows of (B,t,C): the positions after those in the cache, to which they are added. Row for row the bits of `forward` over all of them.
    virtual FeedForwardResult decode(engine::Tape& tape, const Var& x_BtC, MixerCache& cache) = 0;
    // How many of a window's first positions see each other, and not only what came before them; 0: none.
    virtual Size prefix() const = 0;
    // As flops_per_row, in windows of T positions.
    virtual Flops flops_per_row_at(Size T) const = 0;
};

}  // namespace nn
