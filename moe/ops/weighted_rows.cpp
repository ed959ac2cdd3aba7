#include "moe/ops/weighted_rows.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "moe/kernels/slot_sort.h"
#include "moe/ops/column_ranks.h"

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
            sorted ? order.data<std::int32_t>() : nullptr,
            parts};
}

ChosenRows chosen_rows(Exec& exec, const Tensor& ids_NJ, Size M, bool recorded, int parts) {
    ProfileScope profile("slot_sort");
    ChosenRows rows{.ids_NJ = ColumnRanks(exec, parts, ids_NJ.size(0)).gather(ids_NJ), .rows = M, .tokens = ids_NJ.size(0), .parts = parts};
    Size R = rows.ids_NJ.shape().elements();
    expect(R < std::numeric_limits<std::int32_t>::max() && M <= std::numeric_limits<std::int32_t>::max(), "weighted_rows",
           "too many choices in one pass: got {} choices of {} rows, expected fewer than 2^31; hint: lower train.batch or raise "
           "train.accumulate",
           R, M);
    if (!recorded && R < 2 * M) return rows;
    rows.offsets = Tensor(exec, {M + 1}, Dtype::i32);
    rows.order = Tensor(exec, {R}, Dtype::i32);
    visit_device(exec, [&]<class D>(D) {
        kernels::slot_sort<D>(exec, rows.offsets.data<std::int32_t>(), rows.order.data<std::int32_t>(), rows.ids_NJ.data<std::int32_t>(), R,
                              M);
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
    expect(rows.tokens == N && N % exec.shards.count == 0, "weighted_rows", "choices do not fit: got {} for {} rows in {} micro-shards",
           rows.ids_NJ.shape().text(), N, exec.shards.count);
}

// a (N,J) of x (N,C), of which the ranks have these columns for all tokens.
void run_dots(Exec& exec, ColumnRanks& ranks, const Tensor& a_NJ, const Tensor& x, const Tensor& table_MC, const ChosenRows& rows) {
    Tensor parts = ranks.room_for_parts(a_NJ);
    visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
        kernels::row_dots<D, T>(ranks.exec(), parts.rows<Sum<T>>(), x.rows<T>(), as_table(table_MC).rows<T>(), rows.choices());
    });
    ranks.add_parts(a_NJ, parts);
}

// y (N,C) of w, the weights of all tokens.
void run_combine(Exec& exec, const Tensor& y_NC, bool add, const Tensor& w, const Tensor& table_MC, const ChosenRows& rows) {
    ColumnRanks ranks(exec, rows.parts, rows.tokens);
    Tensor y = add ? ranks.take_columns(y_NC) : ranks.room_for_columns(y_NC);
    visit(exec, y.dtype(), [&]<class D, class T>(On<D, T>) {
        kernels::row_combine<D, T>(ranks.exec(), y.rows<T>(), add, w.rows<Sum<T>>(), as_table(table_MC).rows<T>(), rows.choices());
    });
    ranks.give_columns(y_NC, y);
}

struct RowDotsNode final : Node {
    Var x_NC, table_MC, a_NJ;
    ChosenRows rows;
    Tensor x;  // this rank's columns for all tokens

    RowDotsNode(Var own_x, Var table, Var a, ChosenRows chosen, Tensor columns)
        : x_NC(std::move(own_x)), table_MC(std::move(table)), a_NJ(std::move(a)), rows(std::move(chosen)), x(std::move(columns)) {}
    const char* name() const override { return "row_dots"; }
    bool is_reached() const override { return a_NJ.has_grad(); }
    void backward(Exec& exec) override {
        ColumnRanks ranks(exec, rows.parts, rows.tokens);
        Tensor da = ranks.gather(a_NJ.grad());
        if (x_NC.needs_grad()) {
            GradSlot dx = x_NC.grad_slot(exec);
            run_combine(exec, dx.tensor, dx.add, da, table_MC.value(), rows);
        }
        if (!table_MC.needs_grad()) return;
        GradSlot dtable = table_MC.grad_slot(exec);
        visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
            kernels::row_gradient<D, T>(ranks.exec(), as_table(dtable.tensor).rows<Sum<T>>(), dtable.add, da.rows<Sum<T>>(), x.rows<T>(),
                                        rows.choices());
        });
    }
};

struct RowCombineNode final : Node {
    Var w_NJ, table_MC, y_NC;
    ChosenRows rows;
    Tensor w;  // of all tokens

    RowCombineNode(Var own_w, Var table, Var y, ChosenRows chosen, Tensor weights)
        : w_NJ(std::move(own_w)), table_MC(std::move(table)), y_NC(std::move(y)), rows(std::move(chosen)), w(std::move(weights)) {}
    const char* name() const override { return "row_combine"; }
    bool is_reached() const override { return y_NC.has_grad(); }
    void backward(Exec& exec) override {
        Tensor dw = w_NJ.needs_grad() ? Tensor(exec, w_NJ.shape(), w_NJ.dtype()) : Tensor();
        if (table_MC.needs_grad()) {
            ColumnRanks ranks(exec, rows.parts, rows.tokens);
            Tensor dy = ranks.take_columns(y_NC.grad()), dots = dw.defined() ? ranks.room_for_parts(dw) : Tensor();
            GradSlot dtable = table_MC.grad_slot(exec);
            visit(exec, dy.dtype(), [&]<class D, class T>(On<D, T>) {
                kernels::row_gradient<D, T>(ranks.exec(), as_table(dtable.tensor).rows<Sum<T>>(), dtable.add, w.rows<Sum<T>>(),
                                            dy.rows<T>(), rows.choices(), dots.defined() ? dots.rows<Sum<T>>() : Rows<Sum<T>>{},
                                            as_table(table_MC.value()).rows<T>());
            });
            if (dw.defined()) ranks.add_parts(dw, dots);
        } else {
            ColumnRanks ranks(exec, rows.parts, rows.tokens);
            run_dots(exec, ranks, dw, ranks.take_columns(y_NC.grad()), table_MC.value(), rows);
        }
        if (dw.defined()) w_NJ.give_grad(exec, dw);
    }
};

}  // namespace

Var row_dots(Tape& tape, const Var& x_NC, const Var& table_MC, const ChosenRows& rows) {
    ProfileScope profile("row_dots");
    Exec& exec = tape.exec();
    check(exec, rows, table_MC, x_NC.shape().rows());
    bool recorded = tape.records({x_NC, table_MC});
    Var a(Tensor(exec, {rows.tokens, rows.ids_NJ.size(1)}, sum_dtype(x_NC.dtype())), recorded);
    ColumnRanks ranks(exec, rows.parts, rows.tokens);
    ChosenRows::Taken& taken = *rows.taken;
    bool is_new = !taken.x_NC.defined() || taken.x_NC.address() != x_NC.value().address();
    if (is_new) taken = {x_NC.value(), ranks.take_columns(x_NC.value())};
    run_dots(exec, ranks, a.value(), taken.columns, table_MC.value(), rows);
    if (recorded) tape.record(RowDotsNode{x_NC, table_MC, a, rows, taken.columns});
    return a;
}

Var row_combine(Tape& tape, const Var& w_NJ, const Var& table_MC, const ChosenRows& rows, const Shape& shape) {
    ProfileScope profile("row_combine");
    Exec& exec = tape.exec();
    check(exec, rows, table_MC, w_NJ.shape().rows());
    Size C = as_table(table_MC.value()).size(1) * rows.parts;
    expect(shape.rows() == w_NJ.shape().rows() && shape.columns() == C, "weighted_rows",
           "result does not fit: got {}, expected {} rows of {}", shape.text(), w_NJ.shape().rows(), C);
    bool recorded = tape.records({w_NJ, table_MC});
    Var y(Tensor(exec, shape, table_MC.dtype()), recorded);
    Tensor w = ColumnRanks(exec, rows.parts, rows.tokens).gather(w_NJ.value());
    run_combine(exec, y.value(), false, w, table_MC.value(), rows);
    if (recorded) tape.record(RowCombineNode{w_NJ, table_MC, y, rows, w});
    return y;
}

}  // namespace moe::ops
