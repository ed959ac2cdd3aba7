#include "engine/comm/communicator.h"

#include "engine/base/visit.h"
#include "engine/comm/shares.h"
#include "engine/kernels/elementwise.h"
#include "engine/tensor/transfer.h"

#include <algorithm>

namespace engine {
namespace {

// Elements of a slice: what one rank sums of a bucket. The slices of all ranks stay in a core's cache.
constexpr Size kSlice = Size{1} << 17;

// Rows [first, last), sums of the subtrees of a node of `shards` leaves, into the first of them.
template <class D, class T>
void tree_of_rows(Exec& exec, Rows<T> rows, int first, int last, int shards) {
    if (last - first == 1) return;
    LeftChild left = left_child(shards, last - first);
    tree_of_rows<D, T>(exec, rows, first, first + left.ranks, left.shards);
    tree_of_rows<D, T>(exec, rows, first + left.ranks, last, shards - left.shards);
    kernels::add_into<D, T>(exec, rows.slice(first, 1), rows.slice(first + left.ranks, 1));
}

// Every rank sends slice q to rank q, which sums it along the tree and sends the sum to all.
void sum_bucket(Exec& exec, Communicator& ranks, const Tensor& bucket) {
    Size count = bucket.size(0), slice = (count + ranks.size() - 1) / ranks.size();
    auto begin = [&](int r) { return std::min(count, r * slice); };
    auto part = [&](int r) {
        Size elements = begin(r + 1) - begin(r);
        return elements > 0 ? bucket.view_at(begin(r), {1, elements}, elements) : Tensor();
    };
    std::vector<Tensor> sends, receives;
    Tensor own = part(ranks.rank()), parts = own.defined() ? Tensor(exec, {ranks.size(), own.size(1)}, bucket.dtype()) : Tensor();
    for (int r = 0; r < ranks.size(); ++r) {
        sends.push_back(part(r));
        receives.push_back(own.defined() ? parts.row_range(r, 1) : Tensor());
    }
    ranks.exchange(exec, "tree_sum", sends, receives);
    if (own.defined()) {
        visit(exec, parts.dtype(),
              [&]<class D, class T>(On<D, T>) { tree_of_rows<D, T>(exec, parts.rows<T>(), 0, ranks.size(), pass_shards(exec)); });
    }
    std::fill(sends.begin(), sends.end(), receives[0]);
    for (int r = 0; r < ranks.size(); ++r) receives[static_cast<std::size_t>(r)] = part(r);
    ranks.exchange(exec, "tree_sum", sends, receives);
}

}  // namespace

void Communicator::all_gather(Exec& exec, const Tensor& whole, const Tensor& part) {
    Size rows = part.shape().rows();
    std::vector<Tensor> receives;
    for (int r = 0; r < size(); ++r) receives.push_back(whole.view_at(r * rows * whole.row_stride(), part.shape(), part.row_stride()));
    exchange(exec, "all_gather", std::vector<Tensor>(receives.size(), part), receives);
}

// Bucket by bucket. What a rank sends is 2·(n−1)/n of the tensor, whatever n; a bucket's slices are all the memory that it takes.
void Communicator::tree_sum(Exec& exec, const Tensor& sum) {
    if (size() == 1) return;
    Tensor flat = sum.is_packed() ? sum : packed_tensor(exec, sum.shape(), sum.dtype());
    if (!sum.is_packed()) copy(exec, flat, sum);
    Size count = flat.shape().elements(), bucket = kSlice * size();
    for (Size first = 0; first < count; first += bucket) {
        Size elements = std::min(bucket, count - first);
        sum_bucket(exec, *this, flat.view_at(first, {elements}, elements));
    }
    if (!sum.is_packed()) copy(exec, sum, flat);
}

}  // namespace engine
