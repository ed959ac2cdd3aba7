#include "nn/gradient_norm.h"

#include "engine/base/visit.h"
#include "engine/comm/rank_subset.h"
#include "engine/comm/shares.h"
#include "engine/kernels/step_scalars.h"
#include "engine/tensor/transfer.h"

#include <algorithm>

namespace nn {

using namespace engine;
using kernels::squares_blocks;

GradientNorm::GradientNorm(Exec& exec, const ParameterStore& store) {
    pieces_.push_back({.rows = 1});
    for (const ParameterStore::Place& place : store.places()) {
        if (place.parameter->split == Split::none) {
            pieces_[0].columns += place.elements;
            continue;
        }
        Size expert = place.shape.rows() / place.shape[0] * store.view(store.gradient(), place).row_stride();
        pieces_.push_back(
            {.offset = place.offset, .rows = place.shape[0], .columns = expert, .sharers = place.sharers, .first = place.first});
    }
    Size sums = 0;
    for (Piece& piece : pieces_) {
        piece.first_sum = sums;
        sums += piece.rows * piece.sharers * squares_blocks(piece.columns);
    }
    sums_ = zeros(exec, {sums}, Dtype::f64);
    norm_ = zeros(exec, {1}, Dtype::f64);
    for (int rank = 0; rank < store.ranks_of_cut(); ++rank) {
        Range part = store.range_of(rank, store.ranks_of_cut());
        cut_.emplace_back();
        for (const Piece& piece : pieces_) {
            if (piece.sharers > 1) continue;
            Size first = blocks_before(piece, part.first), end = blocks_before(piece, part.end());
            cut_.back().push_back({piece.first_sum + first, end - first});
        }
    }
}

Size GradientNorm::end_of_block(Size element) const {
    auto holds = [&](const Piece& piece) { return element >= piece.offset && element < piece.offset + piece.rows * piece.columns; };
    auto piece = std::ranges::find_if(pieces_, holds);
    if (piece == pieces_.end()) return element + 1;  // padding behind a piece
    Size within = (element - piece->offset) % piece->columns, begin = element - within;
    return begin + std::min(piece->columns, (within / kernels::kSquaresBlock + 1) * kernels::kSquaresBlock);
}

Size GradientNorm::blocks_before(const Piece& piece, Size element) {
    Size within = std::clamp(element - piece.offset, Size{0}, piece.rows * piece.columns),
         row = piece.columns > 0 ? within / piece.columns : 0;
    return row * squares_blocks(piece.columns) + squares_blocks(within - row * piece.columns);
}

void GradientNorm::sum_blocks(Exec& exec, const ParameterStore& store, const Piece& piece, Range blocks) {
    Size a_row = squares_blocks(piece.columns), own = piece.first_sum + piece.first * a_row;
    visit_sum(exec, store.gradient().dtype(), [&]<class D, class S>(On<D, S>) {
        const S* gradient = store.gradient().data<S>() + piece.offset;
        for (Size block = blocks.first; block < blocks.end();) {
            Size row = block / a_row, in_row = block % a_row, whole_rows = in_row == 0 ? (blocks.end() - block) / a_row : 0;
            Size count = whole_rows > 0 ? whole_rows * a_row : std::min(a_row - in_row, blocks.end() - block);
            Size column = in_row * kernels::kSquaresBlock;
            Size columns = whole_rows > 0 ? piece.columns : std::min(piece.columns - column, count * kernels::kSquaresBlock);
            Rows<const S> rows{gradient + row * piece.columns + column, std::max<Size>(1, whole_rows), columns, piece.columns};
            kernels::squared_sums<D, S>(exec, sums_.data<double>() + own + block, rows);
            block += count;
        }
    });
}

// Each rank's sums to all, end to end.
void GradientNorm::share_cut(Exec& exec) {
    Communicator& ranks = *exec.communicator;
    auto count = [](const std::vector<Range>& runs) {
        Size all = 0;
        for (const Range& run : runs) all += run.elements;
        return all;
    };
    auto move = [&](const std::vector<Range>& runs, const Tensor& packed, bool back) {
        Size at = 0;
        for (const Range& run : runs) {
            if (run.elements == 0) continue;
            Tensor here = sums_.view_at(run.first, {1, run.elements}, run.elements), there = packed.view_at(at, here.shape(), run.elements);
            back ? copy(exec, here, there) : copy(exec, there, here);
            at += run.elements;
        }
    };
    std::vector<Tensor> all;
    for (const std::vector<Range>& runs : cut_) all.push_back(count(runs) > 0 ? Tensor(exec, {1, count(runs)}, Dtype::f64) : Tensor());
    std::size_t own = static_cast<std::size_t>(ranks.rank());
    move(cut_[own], all[own], false);
    ranks.exchange(exec, "gradient_norm", std::vector<Tensor>(all.size(), all[own]), all);
    for (std::size_t r = 0; r < all.size(); ++r) move(cut_[r], all[r], true);
}

void GradientNorm::update(Exec& exec, const ParameterStore& store, StepScalars* scalars, double clip) {
    std::size_t own = store.ranks_of_cut() > 1 ? static_cast<std::size_t>(exec.communicator->rank()) : 0, unshared = 0;
    for (const Piece& piece : pieces_) {
        if (piece.sharers > 1) {
            sum_blocks(exec, store, piece, {0, piece.rows * squares_blocks(piece.columns)});
        } else {
            Range run = cut_[own][unshared++];
            sum_blocks(exec, store, piece, {run.first - piece.first_sum, run.elements});
        }
    }
    if (store.ranks_of_cut() > 1) share_cut(exec);
    for (const Piece& piece : pieces_) {
        if (piece.sharers == 1) continue;
        RankSubset group(*exec.sharing.ranks, group_of(exec.sharing.ranks->rank(), piece.sharers));
        Size sums = piece.rows * squares_blocks(piece.columns);
        Tensor all = sums_.view_at(piece.first_sum, {piece.sharers, sums}, sums);
        group.all_gather(exec, all, all.row_range(group.rank(), 1));
    }
    visit_device(exec, [&]<class D>(D) {
        kernels::clip_by_norm<D>(exec, scalars, norm_.data<double>(), sums_.data<double>(), sums_.size(0), clip);
    });
}

double GradientNorm::read(Exec& exec) const { return to_host<double>(exec, norm_)[0]; }

}  // namespace nn
