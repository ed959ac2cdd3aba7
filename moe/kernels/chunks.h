#pragma once
#include "engine/base/exec.h"
#include "engine/base/rows.h"

namespace moe::kernels {

using engine::Exec;
using engine::Rows;
using engine::Size;
using engine::Sum;

// How sMLP reads z (B·T,F): every row in `count` chunks of 2·width columns, the first half of a chunk u, the second v. Chunk i of every row
// of a sequence belongs to one expert. gMLP: one chunk, one expert.
struct Chunks {
    Size sequences, length;                 // B, T
    Size count, width;                      // E, F/(2E)
    const std::int32_t* experts = nullptr;  // (B,E); null: chunk i has expert i

    ENGINE_BOTH Size expert(Size sequence, Size chunk) const {
        return experts != nullptr ? static_cast<Size>(experts[sequence * count + chunk]) : chunk;
    }
    // Where the halves begin: u and v among z's columns, a chunk among those of what has one half only.
    ENGINE_BOTH Size u(Size chunk) const { return 2 * chunk * width; }
    ENGINE_BOTH Size v(Size chunk) const { return (2 * chunk + 1) * width; }
    ENGINE_BOTH Size half(Size chunk) const { return chunk * width; }
    // Sequences [first, first + number).
    Chunks slice(Size first, Size number) const {
        return {number, length, count, width, experts != nullptr ? experts + first * count : nullptr};
    }
};

}  // namespace moe::kernels
