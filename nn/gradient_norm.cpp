#include "nn/gradient_norm.h"

#include "engine/base/visit.h"
#include "engine/comm/rank_subset.h"
#include "engine/comm/shares.h"
#include "engine/kernels/step_scalars.h"
#include "engine/tensor/transfer.h"

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
}

void GradientNorm::update(Exec& exec, const ParameterStore& store, StepScalars* scalars, double clip) {
    visit_sum(exec, store.gradient().dtype(), [&]<class D, class S>(On<D, S>) {
        for (const Piece& piece : pieces_) {
            Rows<const S> gradient{store.gradient().data<S>() + piece.offset, piece.rows, piece.columns, piece.columns};
            kernels::squared_sums<D, S>(exec, sums_.data<double>() + piece.first_sum + piece.first * squares_blocks(piece.columns),
                                        gradient);
        }
    });
    for (const Piece& piece : pieces_) {
        if (piece.sharers == 1) continue;
        RankSubset group(*exec.sharing.ranks, group_of(exec.sharing.ranks->rank(), piece.sharers));
        Size own = piece.rows * squares_blocks(piece.columns);
        Tensor all = sums_.view_at(piece.first_sum, {piece.sharers, own}, own);
        group.all_gather(exec, all, all.row_range(group.rank(), 1));
    }
    visit_device(exec, [&]<class D>(D) {
        kernels::clip_by_norm<D>(exec, scalars, norm_.data<double>(), sums_.data<double>(), sums_.size(0), clip);
    });
}

double GradientNorm::read(Exec& exec) const { return to_host<double>(exec, norm_)[0]; }

}  // namespace nn
