#include "moe/ops/weighted_rows.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "moe/kernels/slot_sort.h"

#include <limits>

namespace moe::ops {

using namespace engine;

kernels::RowChoices ChosenRows::choices() const {
    bool sorted = order.defined();
    return {ids_NJ.size(0),
            ids_NJ.size(1),
            rows,
            ids_NJ.data<std::int32_t>(),
            sorted ? offsets.data<std::int32_t>() : nullptr,
            sorted ? order.data<std::int32_t>() : nullptr};
}

ChosenRows chosen_rows(Exec& exec, const Tensor& ids_NJ, Size M, bool recorded) {
    ProfileScope profile("slot_sort");
    Size R = ids_NJ.shape().elements();
    expect(R < std::numeric_limits<std::int32_t>::max() && M <= std::numeric_limits<std::int32_t>::max(), "weighted_rows",
           "too many choices in one pass: got {} choices of {} rows, expected fewer than 2^31; hint: lower train.batch or raise "
           "train.accumulate",
           R, M);
    ChosenRows rows{ids_NJ, M, {}, {}};
    if (!recorded && R < 2 * M) return rows;
    rows.offsets = Tensor(exec, {M + 1}, Dtype::i32);
    rows.order = Tensor(exec, {R}, Dtype::i32);
    visit_device(exec, [&]<class D>(D) {
        kernels::slot_sort<D>(exec, rows.offsets.data<std::int32_t>(), rows.order.data<std::int32_t>(), ids_NJ.data<std::int32_t>(), R, M);
    });
    return rows;
}

namespace {

// Experts of one cell are rows, too: (M,C,1) or (M,1,C).
Tensor as_table(const Tensor& table) {
    Size M = table.size(0);
    return table.shape().dims() == 2 ? table : table.reshaped({M, table.shape().elements() / M});
}

void check(Exec& exec, const ChosenRows& rows, const Var& table_MC, Size N) {
    const Shape& shape = table_MC.shape();
    bool fits = (shape.dims() == 2 || (shape.dims() == 3 && (shape[1] == 1 || shape[2] == 1))) && shape[0] == rows.rows;
    expect(fits, "weighted_rows", "table does not fit: got {}, expected ({}, C)", shape.text(), rows.rows);
    expect(rows.ids_NJ.size(0) == N && N % exec.shards.count == 0, "weighted_rows",
           "choices do not fit: got {} for {} rows in {} micro-shards", rows.ids_NJ.shape().text(), N, exec.shards.count);
}

struct RowDotsNode final : Node {
    Var x_NC, table_MC, a_NJ;
    ChosenRows rows;

    RowDotsNode(Var x, Var table, Var a, ChosenRows chosen)
        : x_NC(std::move(x)), table_MC(std::move(table)), a_NJ(std::move(a)), rows(std::move(chosen)) {}
    const char* name() const override { return "row_dots"; }
    bool is_reached() const override { return a_NJ.has_grad(); }
    void backward(Exec& exec) override {
        visit(exec, x_NC.dtype(), [&]<class D, class T>(On<D, T>) {
            Rows<const Sum<T>> da = a_NJ.grad().rows<Sum<T>>();
            if (x_NC.needs_grad()) {
                GradSlot dx = x_NC.grad_slot(exec);
                kernels::row_combine<D, T>(exec, dx.tensor.rows<T>(), dx.add, da, as_table(table_MC.value()).rows<T>(), rows.choices());
            }
            if (table_MC.needs_grad()) {
                GradSlot dtable = table_MC.grad_slot(exec);
                kernels::row_gradient<D, T>(exec, as_table(dtable.tensor).rows<Sum<T>>(), dtable.add, da, x_NC.value().rows<T>(),
                                            rows.choices());
            }
        });
    }
};

struct RowCombineNode final : Node {
    Var w_NJ, table_MC, y_NC;
    ChosenRows rows;

    RowCombineNode(Var w, Var table, Var y, ChosenRows chosen)
        : w_NJ(std::move(w)), table_MC(std::move(table)), y_NC(std::move(y)), rows(std::move(chosen)) {}
    const char* name() const override { return "row_combine"; }
    bool is_reached() const override { return y_NC.has_grad(); }
    void backward(Exec& exec) override {
        visit(exec, table_MC.dtype(), [&]<class D, class T>(On<D, T>) {
            Rows<const T> dy = y_NC.grad().rows<T>(), table = as_table(table_MC.value()).rows<T>();
            Tensor dw = w_NJ.needs_grad() ? Tensor(exec, w_NJ.shape(), w_NJ.dtype()) : Tensor();
            Rows<Sum<T>> dots = dw.defined() ? dw.rows<Sum<T>>() : Rows<Sum<T>>{};
            if (table_MC.needs_grad()) {
                GradSlot dtable = table_MC.grad_slot(exec);
                kernels::row_gradient<D, T>(exec, as_table(dtable.tensor).rows<Sum<T>>(), dtable.add, w_NJ.value().rows<Sum<T>>(), dy,
                                            rows.choices(), dots, table);
            } else {
                kernels::row_dots<D, T>(exec, dots, dy, table, rows.choices());
            }
            if (dw.defined()) w_NJ.give_grad(exec, dw);
        });
    }
};

}  // namespace

Var row_dots(Tape& tape, const Var& x_NC, const Var& table_MC, const ChosenRows& rows) {
    ProfileScope profile("row_dots");
    Exec& exec = tape.exec();
    check(exec, rows, table_MC, x_NC.shape().rows());
    bool recorded = tape.records({x_NC, table_MC});
    Var a(Tensor(exec, rows.ids_NJ.shape(), sum_dtype(x_NC.dtype())), recorded);
    visit(exec, x_NC.dtype(), [&]<class D, class T>(On<D, T>) {
        kernels::row_dots<D, T>(exec, a.value().rows<Sum<T>>(), x_NC.value().rows<T>(), as_table(table_MC.value()).rows<T>(),
                                rows.choices());
    });
    if (recorded) tape.record(RowDotsNode{x_NC, table_MC, a, rows});
    return a;
}

Var row_combine(Tape& tape, const Var& w_NJ, const Var& table_MC, const ChosenRows& rows, const Shape& shape) {
    ProfileScope profile("row_combine");
    Exec& exec = tape.exec();
    check(exec, rows, table_MC, w_NJ.shape().rows());
    expect(shape.rows() == w_NJ.shape().rows() && shape.columns() == as_table(table_MC.value()).size(1), "weighted_rows",
           "result does not fit: got {}, expected {} rows of {}", shape.text(), w_NJ.shape().rows(), as_table(table_MC.value()).size(1));
    bool recorded = tape.records({w_NJ, table_MC});
    Var y(Tensor(exec, shape, table_MC.dtype()), recorded);
    visit(exec, table_MC.dtype(), [&]<class D, class T>(On<D, T>) {
        kernels::row_combine<D, T>(exec, y.value().rows<T>(), false, w_NJ.value().rows<Sum<T>>(), as_table(table_MC.value()).rows<T>(),
                                   rows.choices());
    });
    if (recorded) tape.record(RowCombineNode{w_NJ, table_MC, y, rows});
    return y;
}

}  // namespace moe::ops
