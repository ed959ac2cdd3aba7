#pragma once
#include "engine/autograd/var.h"
#include "engine/base/visit.h"
#include "engine/kernels/elementwise.h"

namespace engine {

namespace detail {

// leaf(out, add, first_row, row_count) for shard s; the aligned tree over shards [first, last) into `out`.
template <class Leaf>
void shard_tree(Exec& exec, const Tensor& out, Size rows_per_shard, int first, int last, Leaf& leaf) {
    if (last - first == 1) return leaf(out, false, first * rows_per_shard, rows_per_shard);
    int half = 1;
    while (half * 2 < last - first) half *= 2;
    shard_tree(exec, out, rows_per_shard, first, first + half, leaf);
    Tensor right(exec, out.shape(), out.dtype());
    shard_tree(exec, right, rows_per_shard, first + half, last, leaf);
    visit(exec, out.dtype(), [&]<class D, class T>(On<D, T>) { kernels::add_into<D, T>(exec, out.rows<T>(), right.rows<T>()); });
}

}  // namespace detail

// A sum over rows, such as a weight's gradient, formed per micro-shard and added along the aligned tree (PROGRAMS, "A step"), so that its
// bits do not depend on how many ranks share the shards. `rows` rows of this rank, batch-major, hold exec.shards.count equal shards.
// leaf(Tensor out, bool add, Size first_row, Size row_count) writes (or adds) one shard's sum.
template <class Leaf>
void sum_over_shards(Exec& exec, GradSlot slot, Size rows, Leaf&& leaf) {
    int count = exec.shards.count;
    if (count == 1) return leaf(slot.tensor, slot.add, Size{0}, rows);
    expect(rows % count == 0, "sum_over_shards", "rows do not divide into micro-shards: got {} rows, {} shards", rows, count);
    if (!slot.add) return detail::shard_tree(exec, slot.tensor, rows / count, 0, count, leaf);
    Tensor sum(exec, slot.tensor.shape(), slot.tensor.dtype());
    detail::shard_tree(exec, sum, rows / count, 0, count, leaf);
    visit(exec, sum.dtype(), [&]<class D, class T>(On<D, T>) { kernels::add_into<D, T>(exec, slot.tensor.rows<T>(), sum.rows<T>()); });
}

}  // namespace engine
