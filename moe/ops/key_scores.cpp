#include "moe/ops/key_scores.h"

#include "engine/autograd/shard_sum.h"
#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "engine/comm/rank_subset.h"
#include "engine/comm/shares.h"
#include "engine/kernels/cast.h"
#include "engine/kernels/product.h"
#include "engine/ops/rounded.h"
#include "engine/tensor/transfer.h"
#include "moe/kernels/mean_keys.h"
#include "moe/kernels/top_ids.h"

#include <algorithm>

namespace moe::ops {

using namespace engine;
using engine::kernels::Layout;

namespace {

// Elements of a slice's scores: 64 MiB of floats. The keys are packed anew for every slice, so slices are not small.
constexpr Size kSliceElements = Size{1} << 24;

// x in Sum dtype: scores decide, so they are not rounded.
Tensor widened(Exec& exec, const Tensor& x) {
    if (x.dtype() == sum_dtype(x.dtype())) return x;
    Tensor wide(exec, x.shape(), sum_dtype(x.dtype()));
    visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
        if constexpr (!std::is_same_v<T, Sum<T>>) engine::kernels::cast<D, Sum<T>, T>(exec, wide.rows<Sum<T>>(), x.rows<T>());
    });
    return wide;
}

// Of all experts: those that other ranks of a group hold, too.
Tensor means_of(Exec& exec, const Tensor& w1_ECG) {
    Size own = w1_ECG.size(0);
    Tensor means_EC(exec, {own * exec.sharing.experts, w1_ECG.size(1)}, sum_dtype(w1_ECG.dtype()));
    int place = exec.sharing.experts > 1 ? exec.sharing.ranks->rank() % exec.sharing.experts : 0;
    Tensor part = means_EC.row_range(place * own, own);
    visit(exec, w1_ECG.dtype(), [&]<class D, class T>(On<D, T>) { kernels::mean_keys<D, T>(exec, part.rows<Sum<T>>(), w1_ECG.rows<T>()); });
    if (exec.sharing.experts == 1) return means_EC;
    sharers_of(exec, exec.sharing.experts).all_gather(exec, means_EC, part);
    return means_EC;
}

// Rows (N,C) as those of the whole group, where it shares experts.
Tensor of_whole_group(Exec& exec, const Tensor& rows_NC) {
    if (exec.sharing.experts == 1) return rows_NC;
    Size rows = rows_NC.shape().rows(), columns = rows_NC.shape().columns();
    Tensor packed = packed_tensor(exec, {rows, columns}, rows_NC.dtype());
    copy(exec, packed, rows_NC.reshaped({rows, columns}));
    return gather_group(exec, "gather_group", exec.sharing.experts, packed);
}

struct MeanKeyScoresNode final : Node {
    Var x, w1, scores_NE;
    Tensor means_EC;
    std::shared_ptr<WeightShare> share;

    MeanKeyScoresNode(Var x_, Var w1_, Var scores, Tensor means, std::shared_ptr<WeightShare> share_)
        : x(std::move(x_)), w1(std::move(w1_)), scores_NE(std::move(scores)), means_EC(std::move(means)), share(std::move(share_)) {}
    const char* name() const override { return "mean_key_scores"; }
    bool is_reached() const override { return scores_NE.has_grad() || share->run; }
    void backward(Exec& exec) override {
        if (w1.needs_grad()) add_weight_gradient(exec);
        if (!scores_NE.has_grad() || !x.needs_grad()) return;
        // Formed wide, as the scores are.
        bool direct = x.dtype() == means_EC.dtype();
        GradSlot dx = direct ? x.grad_slot(exec) : GradSlot{Tensor(exec, x.shape(), means_EC.dtype()), false};
        visit_sum(exec, means_EC.dtype(), [&]<class D, class S>(On<D, S>) {
            engine::kernels::product<D, S, S>(exec, dx.tensor.rows<S>(), scores_NE.grad().rows<S>(), Layout::normal, means_EC.rows<S>(),
                                              Layout::normal, dx.add);
        });
        if (!direct) x.give_grad(exec, engine::ops::rounded(exec, dx.tensor, x.dtype()));
    }

    // Of this rank's experts, by the rows of its whole group.
    void add_weight_gradient(Exec& exec) {
        bool reached = scores_NE.has_grad();
        Tensor wide = reached ? of_whole_group(exec, widened(exec, x.value())) : Tensor();
        Tensor dscores = reached ? of_whole_group(exec, scores_NE.grad()) : Tensor();
        Exec group = exec;
        if (exec.sharing.experts > 1) group.shards = group_share(exec, exec.sharing.experts);
        Size own = w1.size(0), first = exec.sharing.experts > 1 ? exec.sharing.ranks->rank() % exec.sharing.experts * own : 0;
        // One "row" a micro-shard, as the experts' own leaves are.
        sum_over_shards(group, w1.grad_slot(group), group.shards.count, [&](const Tensor& out, bool add, Size shard, Size) {
            if (share->run) share->run(out, add, shard);
            if (!reached) return;
            Size rows = wide.shape().rows() / group.shards.count;
            Tensor dm_EC(group, {own, means_EC.size(1)}, means_EC.dtype());
            visit_sum(group, dm_EC.dtype(), [&]<class D, class S>(On<D, S>) {
                Rows<const S> all = dscores.rows<S>(), part{all.row(shard * rows) + first, rows, own, all.stride};
                engine::kernels::product<D, S, S>(group, dm_EC.rows<S>(), part, Layout::transposed,
                                                  wide.rows<S>().slice(shard * rows, rows), Layout::normal, false);
                kernels::mean_keys_backward<D, S>(group, out.rows<S>(), add || share->run != nullptr, dm_EC.rows<S>());
            });
        });
    }
};

void expect_fit(const Tensor& x_NC, const Tensor& w1_ECG) {
    expect(w1_ECG.shape().dims() == 3 && x_NC.size(-1) == w1_ECG.size(1), "key_scores", "keys do not fit: got x {} and w1 {}",
           x_NC.shape().text(), w1_ECG.shape().text());
}

// For K choices of N rows, all of them kept.
Picks unfilled_picks(Exec& exec, Size N, Size K) {
    Tensor ids(exec, {N, K}, Dtype::i32);
    return {ids, ids, N * K};
}

// Scores of all N rows are never there at once: a slice of them, `width` elements a row while they are made, and the K best of each.
struct SlicedPicks {
    Picks picks;
    Tensor scores_SE;

    SlicedPicks(Exec& exec, const Tensor& x_NC, Size E, Size K, Size width) {
        Size N = x_NC.shape().rows();
        picks = unfilled_picks(exec, N, K);
        Size slice = std::clamp<Size>(kSliceElements / width, 1, std::max<Size>(N, 1));
        scores_SE = Tensor(exec, {slice, E}, sum_dtype(x_NC.dtype()));
    }

    // make(part, first) writes the scores of rows first … first + part.rows − 1.
    template <class D, class S, class Make>
    void run(Exec& exec, Make&& make) {
        Size N = picks.ids_NK.size(0), K = picks.ids_NK.size(1), slice = scores_SE.size(0);
        for (Size first = 0; first < N; first += slice) {
            Rows<S> part = scores_SE.rows<S>().slice(0, std::min(slice, N - first));
            make(part, first);
            kernels::top_ids<D, S>(exec, picks.ids_NK.data<std::int32_t>() + first * K, nullptr, part, K);
        }
    }
};

}  // namespace

Var mean_key_scores(Tape& tape, const Var& x_NC, const Var& w1_ECG, std::shared_ptr<WeightShare> share) {
    ProfileScope profile("mean_key_scores");
    expect_fit(x_NC.value(), w1_ECG.value());
    Exec& exec = tape.exec();
    bool recorded = tape.records({x_NC, w1_ECG});
    Tensor means_EC = means_of(exec, w1_ECG.value());
    Var scores(Tensor(exec, {x_NC.shape().rows(), means_EC.size(0)}, sum_dtype(x_NC.dtype())), recorded);
    Tensor wide = widened(exec, x_NC.value());
    visit_sum(exec, scores.dtype(), [&]<class D, class S>(On<D, S>) {
        engine::kernels::product<D, S, S>(exec, scores.value().rows<S>(), wide.rows<S>(), Layout::normal, means_EC.rows<S>(),
                                          Layout::transposed, false);
    });
    if (recorded) tape.record(MeanKeyScoresNode{x_NC, w1_ECG, scores, means_EC, std::move(share)});
    return scores;
}

Picks mean_key_picks(Exec& exec, const Tensor& x_NC, const Tensor& w1_ECG, Size K) {
    ProfileScope profile("mean_key_scores");
    expect_fit(x_NC, w1_ECG);
    Tensor means_EC = means_of(exec, w1_ECG);
    Size E = means_EC.size(0);
    Tensor wide = widened(exec, x_NC);
    SlicedPicks sliced(exec, x_NC, E, K, E);
    visit_sum(exec, means_EC.dtype(), [&]<class D, class S>(On<D, S>) {
        sliced.run<D, S>(exec, [&](Rows<S> part, Size first) {
            engine::kernels::product<D, S, S>(exec, part, wide.rows<S>().slice(first, part.rows), Layout::normal, means_EC.rows<S>(),
                                              Layout::transposed, false);
        });
    });
    return sliced.picks;
}

namespace {

// All cells of experts w1 side by side, and a slice of rows' values of them.
struct Cells {
    Tensor keys_CM, cells_SM;

    Cells(Exec& exec, const Tensor& w1_ECG, Size slice)
        : keys_CM(exec, {w1_ECG.size(1), w1_ECG.size(0) * w1_ECG.size(2)}, w1_ECG.dtype()),
          cells_SM(exec, {slice, keys_CM.size(1)}, sum_dtype(w1_ECG.dtype())) {
        visit(exec, w1_ECG.dtype(),
              [&]<class D, class T>(On<D, T>) { kernels::keys_side_by_side<D, T>(exec, keys_CM.rows<T>(), w1_ECG.rows<T>()); });
    }
    // Scores of as many rows of x, at most a slice.
    template <class D, class T>
    void score(Exec& exec, Rows<Sum<T>> scores, Rows<const T> x, kernels::Reduce reduce, engine::kernels::Activation activation) const {
        Rows<Sum<T>> cells = cells_SM.rows<Sum<T>>().slice(0, scores.rows);
        engine::kernels::product<D, T, Sum<T>>(exec, cells, x, Layout::normal, keys_CM.rows<T>(), Layout::normal, false);
        kernels::block_score<D, Sum<T>>(exec, scores, cells, reduce, activation);
    }
};

// Of this rank's rows by all experts, where ranks share them: each scores the rows of its whole group by its own.
Tensor scores_of_group(Exec& exec, const Tensor& x_NC, const Tensor& w1_ECG, kernels::Reduce reduce,
                       engine::kernels::Activation activation) {
    Size own = w1_ECG.size(0), sharers = exec.sharing.experts, rows = x_NC.shape().rows();
    Tensor group_BC = of_whole_group(exec, x_NC), by_own = packed_tensor(exec, {group_BC.size(0), own}, sum_dtype(x_NC.dtype()));
    Size slice = std::clamp<Size>(kSliceElements / (own * w1_ECG.size(2)), 1, std::max<Size>(group_BC.size(0), 1));
    Cells cells(exec, w1_ECG, slice);
    visit(exec, x_NC.dtype(), [&]<class D, class T>(On<D, T>) {
        for (Size first = 0; first < by_own.size(0); first += slice) {
            Size count = std::min(slice, by_own.size(0) - first);
            cells.score<D, T>(exec, by_own.rows<Sum<T>>().slice(first, count), group_BC.rows<T>().slice(first, count), reduce, activation);
        }
    });
    std::vector<Size> begins = rows_of_group(exec, exec.sharing.experts, rows);
    Tensor received = packed_tensor(exec, {sharers * rows, own}, by_own.dtype()), scores_NE(exec, {rows, sharers * own}, by_own.dtype());
    std::vector<Tensor> sends, receives;
    for (Size m = 0; m < sharers; ++m) {
        Size first = begins[static_cast<std::size_t>(m)], end = begins[static_cast<std::size_t>(m + 1)];
        sends.push_back(end > first ? by_own.row_range(first, end - first) : Tensor());
        receives.push_back(rows > 0 ? received.row_range(m * rows, rows) : Tensor());
    }
    sharers_of(exec, exec.sharing.experts).exchange(exec, "cell_scores", sends, receives);
    for (Size m = 0; m < sharers && rows > 0; ++m) copy(exec, scores_NE.columns(m * own, own), receives[static_cast<std::size_t>(m)]);
    return scores_NE;
}

}  // namespace

Picks cell_picks(Exec& exec, const Tensor& x_NC, const Tensor& w1_ECG, Size K, kernels::Reduce reduce,
                 engine::kernels::Activation activation) {
    ProfileScope profile("cell_scores");
    expect_fit(x_NC, w1_ECG);
    if (exec.sharing.experts > 1) {
        Tensor scores_NE = scores_of_group(exec, x_NC, w1_ECG, reduce, activation);
        Picks picks = unfilled_picks(exec, scores_NE.size(0), K);
        visit_sum(exec, scores_NE.dtype(), [&]<class D, class S>(On<D, S>) {
            kernels::top_ids<D, S>(exec, picks.ids_NK.data<std::int32_t>(), nullptr, scores_NE.rows<S>(), K);
        });
        return picks;
    }
    Size E = w1_ECG.size(0);
    SlicedPicks sliced(exec, x_NC, E, K, E * w1_ECG.size(2));
    Cells cells(exec, w1_ECG, sliced.scores_SE.size(0));
    visit(exec, x_NC.dtype(), [&]<class D, class T>(On<D, T>) {
        sliced.run<D, Sum<T>>(exec, [&](Rows<Sum<T>> part, Size first) {
            cells.score<D, T>(exec, part, x_NC.rows<T>().slice(first, part.rows), reduce, activation);
        });
    });
    return sliced.picks;
}

}  // namespace moe::ops
