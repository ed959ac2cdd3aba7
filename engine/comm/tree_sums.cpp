#include "engine/comm/tree_sums.h"

#include "engine/base/visit.h"
#include "engine/comm/shares.h"
#include "engine/kernels/elementwise.h"
#include "engine/tensor/transfer.h"

#include <utility>

namespace engine {
namespace {

// What rank r sums of a bucket.
Range slice_of(const Tensor& bucket, int rank, int ranks) {
    Size count = bucket.size(0), slice = (count + ranks - 1) / ranks, first = std::min(count, rank * slice);
    return {first, std::min(slice, count - first)};
}

Tensor view(const Tensor& bucket, const Range& range) {
    return range.elements > 0 ? bucket.view_at(range.first, {1, range.elements}, range.elements) : Tensor();
}

// Summands of ranks [first, last), sums of the subtrees of a node of `shards` leaves, into the first of them.
template <class D, class T>
void add_tree(Exec& exec, const std::vector<Tensor>& summands, int first, int last, int shards) {
    if (last - first == 1) return;
    LeftChild left = left_child(shards, last - first);
    add_tree<D, T>(exec, summands, first, first + left.ranks, left.shards);
    add_tree<D, T>(exec, summands, first + left.ranks, last, shards - left.shards);
    auto rows = [&](int rank) { return summands[static_cast<std::size_t>(rank)].rows<T>(); };
    kernels::add_into<D, T>(exec, rows(first), rows(first + left.ranks));
}

}  // namespace

TreeSums::TreeSums(Exec& exec, Dtype dtype, Size most, int depth) : exec_(exec), depth_(depth) {
    // Of n ranks n − 1 send a slice, rounded up.
    Size elements = most + rank_count(exec);
    for (int i = 0; i < depth; ++i) memory_.push_back(Tensor(exec_, {elements}, dtype));
}

void TreeSums::add(Communicator& ranks, const Tensor& bucket, std::vector<Range> needed) {
    int size = ranks.size(), own = ranks.rank();
    if (size == 1) return;
    if (is_full()) turn();
    const Tensor& memory = memory_[next_memory_++ % memory_.size()];
    Bucket& added = summands_.emplace_back(Bucket{&ranks, bucket, std::move(needed), {}, 0});
    std::vector<Tensor> sends, receives;
    Tensor own_slice = view(bucket, slice_of(bucket, own, size));
    Size at = 0;
    for (int r = 0; r < size; ++r) {
        sends.push_back(r != own ? view(bucket, slice_of(bucket, r, size)) : Tensor());
        bool comes = own_slice.defined() && r != own;
        receives.push_back(comes ? memory.view_at(at, own_slice.shape(), own_slice.size(1)) : Tensor());
        at += comes ? own_slice.size(1) : 0;
    }
    if (own_slice.defined()) {
        added.summands = receives;
        added.summands[static_cast<std::size_t>(own)] = own_slice;
    }
    added.ticket = ranks.begin_exchange(exec_, kTreeSum, sends, receives);
}

// The oldest bucket of the first exchange goes on to the second.
void TreeSums::turn() {
    Bucket bucket = std::move(summands_.front());
    summands_.pop_front();
    Communicator& ranks = *bucket.ranks;
    ranks.end_exchange(exec_, bucket.ticket);
    int size = ranks.size(), own = ranks.rank();
    if (!bucket.summands.empty()) {
        exec_.communicator = &ranks;
        visit(exec_, bucket.elements.dtype(),
              [&]<class D, class T>(On<D, T>) { add_tree<D, T>(exec_, bucket.summands, 0, size, pass_shards(exec_)); });
        if (own != 0) copy(exec_, bucket.summands[static_cast<std::size_t>(own)], bucket.summands[0]);
    }
    end_sent(static_cast<std::size_t>(depth_));
    std::vector<Tensor> sends, receives;
    auto part = [&](int of, int to) {
        Range slice = slice_of(bucket.elements, of, size);
        if (of == to) return Tensor();
        return view(bucket.elements, bucket.needed.empty() ? slice : overlap(slice, bucket.needed[static_cast<std::size_t>(to)]));
    };
    for (int r = 0; r < size; ++r) {
        sends.push_back(part(own, r));
        receives.push_back(part(r, own));
    }
    sums_.push_back({&ranks, ranks.begin_exchange(exec_, kTreeSum, sends, receives)});
}

void TreeSums::end_sent(std::size_t left) {
    for (; sums_.size() > left; sums_.pop_front()) sums_.front().ranks->end_exchange(exec_, sums_.front().ticket);
}

void TreeSums::finish() {
    while (!summands_.empty()) turn();
    end_sent(0);
}

}  // namespace engine
