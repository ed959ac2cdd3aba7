#pragma once
#include "engine/autograd/tape.h"
#include "moe/kernels/choose.h"

namespace moe::ops {

struct Choice {
    engine::Tensor ids_NK;  // int32
    engine::Var gates_NK;   // Sum dtype
};

// moe/kernels/choose.h over logits (N,E) of Sum dtype. `dropout` acts while the tape trains.
Choice choose(engine::Tape& tape, const engine::Var& logits_NE, engine::Size K, kernels::Gate gate, float dropout, std::uint32_t site);

}  // namespace moe::ops
