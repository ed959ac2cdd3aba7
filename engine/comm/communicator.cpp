#include "engine/comm/communicator.h"

#include "engine/base/visit.h"
#include "engine/comm/shares.h"
#include "engine/kernels/elementwise.h"
#include "engine/tensor/transfer.h"

#include <algorithm>
#include <utility>

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

// Every rank sends slices[q] to rank q, which sums it along the tree. Returns that: the first row of a tensor, or none.
Tensor own_slice_sum(Exec& exec, Communicator& ranks, const std::vector<Tensor>& slices) {
    const Tensor& own = slices[static_cast<std::size_t>(ranks.rank())];
    Tensor parts = own.defined() ? Tensor(exec, {ranks.size(), own.size(1)}, own.dtype()) : Tensor();
    std::vector<Tensor> receives;
    for (int r = 0; r < ranks.size(); ++r) receives.push_back(own.defined() ? parts.row_range(r, 1) : Tensor());
    ranks.exchange(exec, "tree_sum", slices, receives);
    if (own.defined()) {
        visit(exec, parts.dtype(),
              [&]<class D, class T>(On<D, T>) { tree_of_rows<D, T>(exec, parts.rows<T>(), 0, ranks.size(), pass_shards(exec)); });
    }
    return own.defined() ? receives[0] : Tensor();
}

Tensor slice_of(const Tensor& flat, Size first, Size end) {
    return end > first ? flat.view_at(first, {1, end - first}, end - first) : Tensor();
}

// Every rank sums a slice and sends the sum to all.
void sum_bucket(Exec& exec, Communicator& ranks, const Tensor& bucket) {
    Size count = bucket.size(0), slice = (count + ranks.size() - 1) / ranks.size();
    std::vector<Tensor> slices;
    for (int r = 0; r < ranks.size(); ++r) slices.push_back(slice_of(bucket, std::min(count, r * slice), std::min(count, (r + 1) * slice)));
    std::vector<Tensor> sends(slices.size(), own_slice_sum(exec, ranks, slices));
    ranks.exchange(exec, "tree_sum", sends, slices);
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

// Pieces of parts at once, so many that the slices of all ranks stay in a core's cache. Sums of what another rank sums, too, are written
// last: it may still want the summands.
void Communicator::tree_sum_parts(Exec& exec, const Tensor& sum, const std::vector<std::vector<Range>>& parts) {
    if (size() == 1) return;
    std::vector<std::pair<Tensor, Tensor>> last;
    auto copied = [&](const Tensor& from) {
        Tensor to(exec, from.shape(), from.dtype());
        copy(exec, to, from);
        return to;
    };
    auto keep = [&](const Tensor& total, const Range& own, const Range& other) {
        Range both = overlap(own, other);
        if (both.elements == 0) return;
        Tensor part = slice_of(total, both.first - own.first, both.end() - own.first), to = slice_of(sum, both.first, both.end());
        last.emplace_back(to, copied(part));
        copy(exec, part, to);
    };
    Size piece = std::max<Size>(Size{1} << 14, kSlice / size());
    for (std::size_t i = 0; i < parts[0].size(); ++i) {
        Size longest = 0;
        for (const std::vector<Range>& of_rank : parts) longest = std::max(longest, of_rank[i].elements);
        for (Size done = 0; done < longest; done += piece) {
            std::vector<Range> ranges;
            std::vector<Tensor> slices;
            for (const std::vector<Range>& of_rank : parts) {
                Size first = of_rank[i].first + std::min(done, of_rank[i].elements);
                ranges.push_back({first, std::min(piece, of_rank[i].end() - first)});
                slices.push_back(slice_of(sum, first, ranges.back().end()));
            }
            Tensor total = own_slice_sum(exec, *this, slices);
            if (!total.defined()) continue;
            std::size_t own = static_cast<std::size_t>(rank());
            for (std::size_t r = 0; r < parts.size(); ++r) {
                for (const Range& other : parts[r]) {
                    if (r != own) keep(total, ranges[own], other);
                }
            }
            copy(exec, slices[own], total);
        }
    }
    // The first of what was kept of an element is its sum.
    for (auto each = last.rbegin(); each != last.rend(); ++each) copy(exec, each->first, each->second);
}

}  // namespace engine
