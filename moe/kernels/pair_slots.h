#pragma once
#include "engine/base/exec.h"

#include <vector>

namespace moe::kernels {

using engine::Exec;
using engine::Size;

// Entries [first, first + count) of a buffer.
struct Slots {
    std::int32_t first, count;
};

// The rows of one rank, among `ids`, and the rank that owns their experts: what travels between the two has places in buffers of sizes that
// the host knows.
struct Pair {
    std::int32_t first_row, rows, owner;
    Slots row_slots, choice_slots;
};

struct PairArrays {
    std::int32_t* row;     // of every row slot: the row that takes it, −1: none
    std::int32_t* choice;  // of every choice slot: n·K + k, −1: none; or null
    std::int32_t* slot;    // (N,K): each choice's slot, −1: none
    std::int32_t* need;    // (2, pairs): each pair's rows and choices, whether or not there is a slot for them; or null
};

// The i-th row of a pair with a choice of the owner's experts takes row slot i of the pair, the j-th such choice choice slot j. Where the
// pair has not as many, the last ones have none, nor have choices of rows without one: who asks for such slots must look at `need`.
//   ids (N,K), −1: none; owner p has experts [p·experts, (p+1)·experts) · no row and owner are of two pairs · reads ids once a pair,
//   integers only, the same on every device
template <class D>
void pair_slots(Exec& exec, const PairArrays& out, const std::int32_t* ids, Size N, Size K, Size experts, const std::vector<Pair>& pairs);

}  // namespace moe::kernels
