#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "moe/kernels/transpose.h"
#include "moe/ops/product_keys.h"
#include "moe/ops/weighted_rows.h"

namespace moe::ops {

using namespace engine;

namespace {

struct LowRankKeysNode final : Node {
    Var r_NR, up_RM;
    Tensor keys_MR;  // up with its cells as rows
    KeyChoice choice;
    ChosenRows rows;

    LowRankKeysNode(Var r, Var up, Tensor keys, KeyChoice choice_, ChosenRows rows_)
        : r_NR(std::move(r)), up_RM(std::move(up)), keys_MR(std::move(keys)), choice(std::move(choice_)), rows(std::move(rows_)) {}
    const char* name() const override { return "low_rank_keys"; }
    bool is_reached() const override { return choice.scores_NJ.has_grad(); }
    void backward(Exec& exec) override {
        Tensor ds = choice.scores_NJ.grad();
        if (r_NR.needs_grad()) {
            GradSlot dr = r_NR.grad_slot(exec);
            visit(exec, r_NR.dtype(), [&]<class D, class T>(On<D, T>) {
                kernels::row_combine<D, T>(exec, dr.tensor.rows<T>(), dr.add, ds.rows<Sum<T>>(), keys_MR.rows<T>(), rows.choices());
            });
        }
        if (up_RM.needs_grad()) {
            Tensor dkeys(exec, keys_MR.shape(), ds.dtype());
            GradSlot dup = up_RM.grad_slot(exec);
            visit(exec, r_NR.dtype(), [&]<class D, class T>(On<D, T>) {
                using S = Sum<T>;
                kernels::row_gradient<D, T>(exec, dkeys.rows<S>(), false, ds.rows<S>(), r_NR.value().rows<T>(), rows.choices());
                kernels::transpose<D, S>(exec, dup.tensor.rows<S>(), dkeys.rows<S>(), dup.add);
            });
        }
    }
};

}  // namespace

KeyChoice low_rank_keys(Tape& tape, const Var& r_NR, const Var& up_RM, Size K) {
    ProfileScope profile("low_rank_keys");
    Size N = r_NR.shape().rows(), R = up_RM.size(0), M = up_RM.size(1);
    expect(r_NR.size(-1) == R && K >= 1 && K <= M, "low_rank_keys",
           "keys do not fit: got {} and {} with k = {}, expected (N, {}) and k in 1 to {}", r_NR.shape().text(), up_RM.shape().text(), K, R,
           M);
    Exec& exec = tape.exec();
    bool recorded = tape.records({r_NR, up_RM});
    KeyChoice choice{Tensor(exec, {N, K}, Dtype::i32), Var(packed_tensor(exec, {N, K}, sum_dtype(r_NR.dtype())), recorded)};
    Tensor keys_MR(exec, {M, R}, up_RM.dtype());
    visit(exec, r_NR.dtype(), [&]<class D, class T>(On<D, T>) {
        kernels::low_rank_top_k<D, T>(exec, choice.ids_NJ.data<std::int32_t>(), r_NR.value().rows<T>(), up_RM.value().rows<T>(), K);
        kernels::transpose<D, T>(exec, keys_MR.rows<T>(), up_RM.value().rows<T>(), false);
    });
    ChosenRows rows = chosen_rows(exec, choice.ids_NJ, M, recorded);
    visit(exec, r_NR.dtype(), [&]<class D, class T>(On<D, T>) {
        kernels::row_dots<D, T>(exec, choice.scores_NJ.value().rows<Sum<T>>(), r_NR.value().rows<T>(), keys_MR.rows<T>(), rows.choices());
    });
    if (recorded) tape.record(LowRankKeysNode{r_NR, up_RM, keys_MR, choice, rows});
    return choice;
}

}  // namespace moe::ops
