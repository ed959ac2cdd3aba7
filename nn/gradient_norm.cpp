#include "nn/gradient_norm.h"

#include "engine/base/visit.h"
#include "engine/comm/rank_subset.h"
#include "engine/kernels/strips.h"
#include "engine/tensor/transfer.h"

#include <algorithm>

namespace nn {

using namespace engine;

GradientNorm::GradientNorm(Exec& exec, const ParameterStore& store) {
    pieces_.push_back({.rows = 1});
    for (const ParameterStore::Place& place : store.places()) {
        if (place.parameter->split == Split::none) {
            pieces_[0].columns += place.elements;
        } else {
            pieces_.push_back(piece_of(store, place));
        }
    }
    Size sums = 0;
    for (Piece& piece : pieces_) {
        piece.first_sum = sums;
        sums += piece.parts() * piece.sharers * piece.blocks_of_row();
    }
    sums_ = zeros(exec, {sums}, Dtype::f64);
    norm_ = zeros(exec, {1}, Dtype::f64);
    for (int rank = 0; rank < store.ranks_of_cut(); ++rank) {
        cut_.emplace_back();
        for (const Piece& piece : pieces_) {
            if (piece.sharers > 1) continue;
            Range blocks = blocks_in(piece, store.range_of(rank, store.ranks_of_cut()));
            for (Size strip = 0; strip < std::max<Size>(1, piece.strips); ++strip) {
                cut_.back().push_back({piece.first_sum + strip * piece.blocks_of_row() + blocks.first, blocks.elements});
            }
        }
    }
}

GradientNorm::Piece GradientNorm::piece_of(const ParameterStore& store, const ParameterStore::Place& place) {
    Piece piece{.offset = place.offset, .rows = place.shape[0], .sharers = place.sharers, .first = place.first};
    Size stride = store.view(store.gradient(), place).row_stride();
    piece.columns = place.shape.rows() / place.shape[0] * stride;
    if (place.parameter->split == Split::by_expert) return piece;
    piece.width = place.shape[1];
    piece.strips = kernels::kStrips / place.sharers;
    piece.first = place.column / place.shape[1] * piece.strips;
    piece.columns = place.shape[0] * stride;
    // As many elements of a strip as other blocks have, whoever holds it.
    piece.block = std::max<Size>(1, kernels::kSquaresBlock * kernels::kStrips / place.parameter->shape[1]) * stride;
    piece.rows = 1;
    return piece;
}

Size GradientNorm::end_of_block(Size element) const {
    auto holds = [&](const Piece& piece) { return element >= piece.offset && element < piece.offset + piece.rows * piece.columns; };
    auto piece = std::ranges::find_if(pieces_, holds);
    if (piece == pieces_.end()) return element + 1;  // padding behind a piece
    Size within = (element - piece->offset) % piece->columns, begin = element - within;
    return begin + std::min(piece->columns, (within / piece->block + 1) * piece->block);
}

Size GradientNorm::blocks_before(const Piece& piece, Size element) {
    Size within = std::clamp(element - piece.offset, Size{0}, piece.rows * piece.columns),
         row = piece.columns > 0 ? within / piece.columns : 0;
    return row * piece.blocks_of_row() + (within - row * piece.columns + piece.block - 1) / piece.block;
}

GradientNorm::Range GradientNorm::blocks_in(const Piece& piece, Range part) {
    Size first = blocks_before(piece, part.first);
    return {first, blocks_before(piece, part.end()) - first};
}

void GradientNorm::sum_blocks(Exec& exec, const ParameterStore& store, const Piece& piece, Range blocks) {
    if (blocks.elements == 0) return;
    Size a_row = piece.blocks_of_row(), own = piece.first_sum + piece.first * a_row;
    visit_sum(exec, store.gradient().dtype(), [&]<class D, class S>(On<D, S>) {
        const S* gradient = store.gradient().data<S>() + piece.offset;
        if (piece.strips > 0) {
            Size stride = row_stride_for(piece.width, store.dtype()), block_rows = piece.block / stride, first = blocks.first * block_rows;
            Size rows = std::min(piece.columns / stride, blocks.end() * block_rows) - first;
            return kernels::squared_strip_sums<D, S>(exec, sums_.data<double>() + own + blocks.first, a_row,
                                                     Rows<const S>{gradient + first * stride, rows, piece.width, stride},
                                                     static_cast<int>(piece.strips), block_rows);
        }
        for (Size block = blocks.first; block < blocks.end();) {
            Size row = block / a_row, in_row = block % a_row, whole_rows = in_row == 0 ? (blocks.end() - block) / a_row : 0;
            Size count = whole_rows > 0 ? whole_rows * a_row : std::min(a_row - in_row, blocks.end() - block);
            Size column = in_row * piece.block;
            Size columns = whole_rows > 0 ? piece.columns : std::min(piece.columns - column, count * piece.block);
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
    Range part = store.range_of(store.ranks_of_cut() > 1 ? exec.communicator->rank() : 0, store.ranks_of_cut());
    for (const Piece& piece : pieces_) {
        Range all{0, piece.rows * piece.blocks_of_row()};
        sum_blocks(exec, store, piece, piece.sharers > 1 ? all : blocks_in(piece, part));
    }
    if (store.ranks_of_cut() > 1) share_cut(exec);
    for (const Piece& piece : pieces_) {
        if (piece.sharers == 1) continue;
        RankSubset group = sharers_of(exec, piece.sharers);
        Size sums = piece.parts() * piece.blocks_of_row();
        Tensor all = sums_.view_at(piece.first_sum, {piece.sharers, sums}, sums);
        group.all_gather(exec, all, all.row_range(group.rank(), 1));
    }
    visit_device(exec, [&]<class D>(D) {
        kernels::clip_by_norm<D>(exec, scalars, norm_.data<double>(), sums_.data<double>(), sums_.size(0), clip);
    });
}

double GradientNorm::read(Exec& exec) const { return to_host<double>(exec, norm_)[0]; }

}  // namespace nn
