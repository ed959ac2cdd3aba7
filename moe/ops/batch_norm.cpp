#include "moe/ops/batch_norm.h"

#include "engine/base/error.h"
#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "moe/kernels/batch_norm.h"
#include "moe/kernels/tree_rows.h"
#include "moe/ops/whole_pass.h"

namespace moe::ops {

using namespace engine;

namespace {

constexpr double kEps = 1e-5;

// The sums of this rank's micro-shards: leaf(sum, first_row, rows) for each.
template <class Leaf>
Tensor sums_of_shards(Exec& exec, Size rows, Size width, Dtype dtype, Leaf&& leaf) {
    Size shards = exec.shards.count;
    expect(rows % shards == 0, "batch_norm", "rows do not divide into micro-shards: got {} rows, {} shards", rows, shards);
    Tensor leaves = shard_leaves(exec, width, dtype);
    for (Size s = 0; s < shards; ++s) leaf(leaves.row_range(s, 1), s * (rows / shards), rows / shards);
    return leaves;
}

// (F), over all rows of the pass: means, or variances about means.
Tensor statistic(Exec& exec, const Tensor& x_NF, const Tensor& means_F) {
    Size N = x_NF.shape().rows(), F = x_NF.shape().columns();
    Tensor leaves = sums_of_shards(exec, N, F, sum_dtype(x_NF.dtype()), [&](const Tensor& out, Size first, Size count) {
        visit(exec, x_NF.dtype(), [&]<class D, class T>(On<D, T>) {
            kernels::batch_norm_leaf<D, T>(exec, out.data<Sum<T>>(), x_NF.rows<T>().slice(first, count),
                                           means_F.defined() ? means_F.data<Sum<T>>() : nullptr);
        });
    });
    return pass_sum(exec, leaves, static_cast<double>(rows_of_pass(exec, N)));
}

struct BatchNormNode final : Node {
    Var x, w_F, b_F, y;
    Tensor mean_F, rate_F;
    bool over_pass;  // the statistics are x's own

    BatchNormNode(Var x_, Var w, Var b, Var y_, Tensor mean, Tensor rate, bool over_pass_)
        : x(std::move(x_)),
          w_F(std::move(w)),
          b_F(std::move(b)),
          y(std::move(y_)),
          mean_F(std::move(mean)),
          rate_F(std::move(rate)),
          over_pass(over_pass_) {}
    const char* name() const override { return "batch_norm"; }
    bool is_reached() const override { return y.has_grad(); }

    void backward(Exec& exec) override {
        Size N = x.shape().rows(), F = x.shape().columns();
        Tensor leaves = sums_of_shards(exec, N, 2 * F, mean_F.dtype(), [&](const Tensor& out, Size first, Size count) {
            visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
                using S = Sum<T>;
                kernels::batch_norm_gradient_leaf<D, T>(exec, out.data<S>(), y.grad().rows<T>().slice(first, count),
                                                        x.value().rows<T>().slice(first, count), mean_F.data<S>(), rate_F.data<S>());
            });
        });
        Tensor means = over_pass ? pass_sum(exec, leaves, static_cast<double>(rows_of_pass(exec, N))) : Tensor();
        if (x.needs_grad()) {
            GradSlot dx = x.grad_slot(exec);
            visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
                using S = Sum<T>;
                kernels::batch_norm_backward<D, T>(exec, dx.tensor.rows<T>(), dx.add, y.grad().rows<T>(), x.value().rows<T>(),
                                                   mean_F.data<S>(), rate_F.data<S>(), w_F.value().data<T>(),
                                                   means.defined() ? means.data<S>() : nullptr);
            });
        }
        if (!w_F.needs_grad() && !b_F.needs_grad()) return;
        // This rank's share of the parameters' gradients: the tree over its own leaves.
        Tensor own(exec, {2 * F}, leaves.dtype());
        visit_sum(exec, own.dtype(),
                  [&]<class D, class S>(On<D, S>) { kernels::tree_rows<D, S>(exec, own.data<S>(), leaves.rows<S>(), 1); });
        if (b_F.needs_grad()) b_F.give_grad(exec, own.view_at(0, {F}, F));
        if (w_F.needs_grad()) w_F.give_grad(exec, own.view_at(F, {F}, F));
    }
};

}  // namespace

Var batch_norm(Tape& tape, const Var& x_NF, const Var& w_F, const Var& b_F, nn::State& running_mean, nn::State& running_variance) {
    ProfileScope profile("batch_norm");
    Exec& exec = tape.exec();
    Size N = x_NF.shape().rows(), F = x_NF.size(-1);
    expect(w_F.shape() == Shape{F} && b_F.shape() == Shape{F}, "batch_norm",
           "weight and bias must have one value a channel: got {} and {}, expected ({})", w_F.shape().text(), b_F.shape().text(), F);
    bool trains = tape.training(), recorded = tape.records({x_NF, w_F, b_F});
    double all_rows = static_cast<double>(rows_of_pass(exec, N));
    expect(!trains || all_rows > 1, "batch_norm",
           "one row has no variance: got N = 1 in training, expected at least 2; hint: mode = \"eval\", or query_norm = \"layer\"");
    Dtype wide = sum_dtype(x_NF.dtype());
    Var y(Tensor(exec, x_NF.shape(), x_NF.dtype()), recorded);
    Tensor mean = running_mean.value, variance = running_variance.value, rate(exec, {F}, wide);
    if (trains) {
        mean = statistic(exec, x_NF.value(), {});
        variance = statistic(exec, x_NF.value(), mean);
        Tensor old_mean = running_mean.next.defined() ? running_mean.next : running_mean.value;
        Tensor old_variance = running_variance.next.defined() ? running_variance.next : running_variance.value;
        Tensor next_mean(exec, {F}, wide), next_variance(exec, {F}, wide);
        visit_sum(exec, wide, [&]<class D, class S>(On<D, S>) {
            kernels::batch_norm_running<D, S>(exec, next_mean.data<S>(), next_variance.data<S>(), old_mean.data<S>(),
                                              old_variance.data<S>(), mean.data<S>(), variance.data<S>(), F, all_rows);
        });
        running_mean.next = next_mean;
        running_variance.next = next_variance;
    }
    visit(exec, x_NF.dtype(), [&]<class D, class T>(On<D, T>) {
        using S = Sum<T>;
        kernels::batch_norm_rate<D, S>(exec, rate.data<S>(), variance.data<S>(), F, kEps);
        kernels::batch_norm<D, T>(exec, y.value().rows<T>(), x_NF.value().rows<T>(), mean.data<S>(), rate.data<S>(), w_F.value().data<T>(),
                                  b_F.value().data<T>());
    });
    if (recorded) tape.record(BatchNormNode{x_NF, w_F, b_F, y, mean, rate, trains});
    return y;
}

}  // namespace moe::ops
