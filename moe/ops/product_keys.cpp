#include "moe/ops/product_keys.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "moe/ops/weighted_rows.h"

namespace moe::ops {

using namespace engine;

namespace {

struct ProductKeysNode final : Node {
    Var q, subkeys;
    KeyChoice choice;
    kernels::ProductKeys keys;

    ProductKeysNode(Var q_, Var subkeys_, KeyChoice choice_, const kernels::ProductKeys& keys_)
        : q(std::move(q_)), subkeys(std::move(subkeys_)), choice(std::move(choice_)), keys(keys_) {}
    const char* name() const override { return "product_keys"; }
    bool is_reached() const override { return choice.scores_NJ.has_grad(); }

    // Every half of a query is a row that chose sub-keys with the weights ds.
    void backward(Exec& exec) override {
        Size N = q.shape().rows(), groups = keys.query_columns() / keys.half, J = 2 * choice.ids_NJ.size(1) / groups;
        Tensor ids = Tensor(exec, {N * groups, J}, Dtype::i32), w = packed_tensor(exec, {N * groups, J}, sum_dtype(q.dtype()));
        visit_sum(exec, w.dtype(), [&]<class D, class S>(On<D, S>) {
            kernels::product_key_choices<D, S>(exec, ids.data<std::int32_t>(), w.data<S>(), choice.ids_NJ.data<std::int32_t>(),
                                               choice.scores_NJ.grad().rows<S>(), keys);
        });
        ChosenRows rows = chosen_rows(exec, ids, keys.sub_key_rows(), true);
        if (subkeys.needs_grad()) {
            GradSlot dsubkeys = subkeys.grad_slot(exec);
            Tensor chose = halves(exec, N, groups);
            visit(exec, q.dtype(), [&]<class D, class T>(On<D, T>) {
                kernels::row_gradient<D, T>(exec, dsubkeys.tensor.rows<Sum<T>>(), dsubkeys.add, w.rows<Sum<T>>(), chose.rows<T>(),
                                            rows.choices());
            });
        }
        if (q.needs_grad()) {
            Tensor dq(exec, {N * groups * keys.half}, q.dtype());
            visit(exec, q.dtype(), [&]<class D, class T>(On<D, T>) {
                kernels::row_combine<D, T>(exec, dq.reshaped({N * groups, keys.half}).rows<T>(), false, w.rows<Sum<T>>(),
                                           subkeys.value().rows<T>(), rows.choices());
            });
            q.give_grad(exec, dq.reshaped(q.shape()));
        }
    }

    Tensor halves(Exec& exec, Size N, Size groups) const {
        Tensor dense = q.value();
        if (dense.row_stride() != keys.query_columns()) {
            dense = packed_tensor(exec, {N, keys.query_columns()}, q.dtype());
            copy(exec, dense, q.value().reshaped({N, keys.query_columns()}));
        }
        return dense.view_at(0, {N * groups, keys.half}, keys.half);
    }
};

}  // namespace

KeyChoice product_keys(Tape& tape, const Var& q, const Var& subkeys, const kernels::ProductKeys& keys) {
    ProfileScope profile("product_keys");
    expect(q.size(-1) == keys.query_columns() && subkeys.size(-1) == keys.half && subkeys.shape().rows() == keys.sub_key_rows(),
           "product_keys", "queries and sub-keys do not fit: got {} and {}, expected (N, {}) and {} rows of {}", q.shape().text(),
           subkeys.shape().text(), keys.query_columns(), keys.sub_key_rows(), keys.half);
    Exec& exec = tape.exec();
    Size N = q.shape().rows(), J = keys.heads * keys.k;
    bool recorded = tape.records({q, subkeys});
    KeyChoice choice{Tensor(exec, {N, J}, Dtype::i32), Var(packed_tensor(exec, {N, J}, sum_dtype(q.dtype())), recorded)};
    visit(exec, q.dtype(), [&]<class D, class T>(On<D, T>) {
        kernels::product_key_top_k<D, T>(exec, choice.ids_NJ.data<std::int32_t>(), choice.scores_NJ.value().data<Sum<T>>(),
                                         q.value().rows<T>(), subkeys.value().rows<T>(), keys);
    });
    if (recorded) tape.record(ProductKeysNode{q, subkeys, choice, keys});
    return choice;
}

}  // namespace moe::ops
