#include "moe/ops/all_cells.h"

#include "engine/autograd/shard_sum.h"
#include "engine/base/profile.h"
#include "engine/kernels/product.h"
#include "moe/kernels/outer_relu.h"

#include <algorithm>

namespace moe::ops {

using namespace engine;
using engine::kernels::Layout;
using engine::kernels::product;

namespace {

constexpr Size kChunkRows = 256;

// Half `part` of every row, and a head's set of sub-keys for it.
template <class T>
Rows<T> half_of(Rows<T> rows, Size part) {
    return {rows.data + part * (rows.columns / 2), rows.rows, rows.columns / 2, rows.stride};
}
template <class T>
Rows<T> sub_key_set(const Tensor& subkeys, Size head, Size part) {
    Size P = subkeys.size(2);
    return subkeys.rows<T>().slice((head * 2 + part) * P, P);
}

// body(first, rows) over chunks of rows [begin, begin + count).
template <class Body>
void for_chunks(Size begin, Size count, Body&& body) {
    for (Size n = 0; n < count; n += kChunkRows) body(begin + n, std::min(kChunkRows, count - n));
}

struct AllCellsNode final : Node {
    Var x, subkeys, values, y;
    Tensor scores[2];  // (N,P) of Sum dtype, one a half

    AllCellsNode(Var x_, Var subkeys_, Var values_, Var y_, const Tensor& first, const Tensor& second)
        : x(std::move(x_)), subkeys(std::move(subkeys_)), values(std::move(values_)), y(std::move(y_)), scores{first, second} {}
    const char* name() const override { return "all_cells"; }
    bool is_reached() const override { return y.has_grad(); }

    void backward(Exec& exec) override {
        Size N = x.shape().rows(), H = subkeys.size(0), P = subkeys.size(2), M = P * P, chunk = std::min(kChunkRows, N);
        if (values.needs_grad()) add_value_gradient(exec, Tensor(exec, {chunk, M}, x.dtype()));
        if (!x.needs_grad() && !subkeys.needs_grad()) return;
        Tensor dscores[2] = {Tensor(exec, {N, P}, x.dtype()), Tensor(exec, {N, P}, x.dtype())},
               dcells(exec, {chunk, M}, sum_dtype(x.dtype()));
        visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
            using S = Sum<T>;
            for_chunks(0, N, [&](Size first, Size rows) {
                Rows<S> part = dcells.rows<S>().slice(0, rows);
                product<D, T, S>(exec, part, y.grad().rows<T>().slice(first, rows), Layout::normal, values.value().rows<T>(),
                                 Layout::transposed, false);
                kernels::outer_relu_backward<D, T>(exec, dscores[0].rows<T>().slice(first, rows), dscores[1].rows<T>().slice(first, rows),
                                                   part, scores[0].rows<S>().slice(first, rows), scores[1].rows<S>().slice(first, rows));
            });
        });
        if (x.needs_grad()) {
            GradSlot dx = x.grad_slot(exec);
            visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
                for (Size part = 0; part < 2; ++part) {
                    for (Size h = 0; h < H; ++h) {
                        product<D, T, T>(exec, half_of(dx.tensor.rows<T>(), part), dscores[part].rows<T>(), Layout::normal,
                                         sub_key_set<T>(subkeys.value(), h, part), Layout::normal, dx.add || h > 0);
                    }
                }
            });
        }
        if (!subkeys.needs_grad()) return;
        sum_over_shards(exec, subkeys.grad_slot(exec), N, [&](const Tensor& out, bool add, Size first, Size rows) {
            visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
                Rows<const T> in = x.value().rows<T>();
                for (Size h = 0; h < H; ++h) {
                    for (Size part = 0; part < 2; ++part) {
                        product<D, T, Sum<T>>(exec, sub_key_set<Sum<T>>(out, h, part), dscores[part].rows<T>().slice(first, rows),
                                              Layout::transposed, half_of(in, part).slice(first, rows), Layout::normal, add);
                    }
                }
            });
        });
    }

    // The cells' values are formed again, chunk by chunk.
    void add_value_gradient(Exec& exec, const Tensor& cells) {
        sum_over_shards(exec, values.grad_slot(exec), x.shape().rows(), [&](const Tensor& out, bool add, Size begin, Size count) {
            visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
                using S = Sum<T>;
                for_chunks(begin, count, [&](Size first, Size rows) {
                    Rows<T> part = cells.rows<T>().slice(0, rows);
                    kernels::outer_relu<D, T>(exec, part, scores[0].rows<S>().slice(first, rows), scores[1].rows<S>().slice(first, rows));
                    product<D, T, S>(exec, out.rows<S>(), part, Layout::transposed, y.grad().rows<T>().slice(first, rows), Layout::normal,
                                     add || first > begin);
                });
            });
        });
    }
};

}  // namespace

Var all_cells(Tape& tape, const Var& x_NC, const Var& subkeys, const Var& values_MC) {
    ProfileScope profile("all_cells");
    Size N = x_NC.shape().rows(), C = x_NC.size(-1), H = subkeys.size(0), P = subkeys.size(2), M = P * P;
    expect(C % 2 == 0 && subkeys.size(3) == C / 2 && values_MC.shape() == Shape{M, C}, "all_cells",
           "sub-keys and values do not fit: got x {}, subkeys {}, values {}", x_NC.shape().text(), subkeys.shape().text(),
           values_MC.shape().text());
    Exec& exec = tape.exec();
    bool recorded = tape.records({x_NC, subkeys, values_MC});
    Var y(Tensor(exec, x_NC.shape(), x_NC.dtype()), recorded);
    Dtype wide = sum_dtype(x_NC.dtype());
    Tensor scores[2] = {Tensor(exec, {N, P}, wide), Tensor(exec, {N, P}, wide)}, cells(exec, {std::min(kChunkRows, N), M}, x_NC.dtype());
    visit(exec, x_NC.dtype(), [&]<class D, class T>(On<D, T>) {
        using S = Sum<T>;
        Rows<const T> x = x_NC.value().rows<T>();
        for (Size part = 0; part < 2; ++part) {
            for (Size h = 0; h < H; ++h) {
                product<D, T, S>(exec, scores[part].rows<S>(), half_of(x, part), Layout::normal, sub_key_set<T>(subkeys.value(), h, part),
                                 Layout::transposed, h > 0);
            }
        }
        for_chunks(0, N, [&](Size first, Size rows) {
            Rows<T> part = cells.rows<T>().slice(0, rows);
            kernels::outer_relu<D, T>(exec, part, scores[0].rows<S>().slice(first, rows), scores[1].rows<S>().slice(first, rows));
            product<D, T, T>(exec, y.value().rows<T>().slice(first, rows), part, Layout::normal, values_MC.value().rows<T>(),
                             Layout::normal, false);
        });
    });
    if (recorded) tape.record(AllCellsNode{x_NC, subkeys, values_MC, y, scores[0], scores[1]});
    return y;
}

}  // namespace moe::ops
