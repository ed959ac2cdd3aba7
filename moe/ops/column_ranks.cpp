#include "moe/ops/column_ranks.h"

#include "engine/base/visit.h"
#include "engine/comm/shares.h"
#include "engine/kernels/elementwise.h"
#include "engine/tensor/transfer.h"

namespace moe::ops {

using namespace engine;

ColumnRanks::ColumnRanks(const Exec& exec, int parts, Size tokens) : exec_(exec), first_{0} {
    if (parts == 1) {
        first_.push_back(tokens);
        return;
    }
    ranks_.emplace(sharers_of(exec, parts));
    exec_.shards = group_share(exec, parts);
    first_ = rows_of_group(exec, parts, tokens);
}

Tensor ColumnRanks::rows_of(const Tensor& all, int member) const {
    return all.row_range(first_[static_cast<std::size_t>(member)], tokens_of(member));
}

Tensor ColumnRanks::columns_of(const Tensor& own_NC, int member) const {
    Size columns = own_NC.shape().columns() / size();
    return own_NC.reshaped({own_NC.shape().rows(), own_NC.shape().columns()}).columns(member * columns, columns);
}

template <class Send, class Receive>
void ColumnRanks::exchange(const char* what, Send send, Receive receive) {
    std::vector<Tensor> sends, receives;
    for (int member = 0; member < size(); ++member) {
        sends.push_back(send(member));
        receives.push_back(receive(member));
    }
    ranks_->exchange(exec_, what, sends, receives);
}

Tensor ColumnRanks::gather(const Tensor& own_NJ) { return alone() ? own_NJ : gather_group(exec_, "table choices", size(), own_NJ); }

Tensor ColumnRanks::take_columns(const Tensor& own_NC) {
    if (alone()) return own_NC;
    Tensor columns = room_for_columns(own_NC);
    exchange(
        "table columns", [&](int member) { return columns_of(own_NC, member); }, [&](int member) { return rows_of(columns, member); });
    return columns;
}

Tensor ColumnRanks::room_for_columns(const Tensor& own_NC) {
    return alone() ? own_NC : Tensor(exec_, {tokens(), own_NC.shape().columns() / size()}, own_NC.dtype());
}

void ColumnRanks::give_columns(const Tensor& own_NC, const Tensor& columns) {
    if (alone()) return;
    exchange(
        "table columns", [&](int member) { return rows_of(columns, member); }, [&](int member) { return columns_of(own_NC, member); });
}

Tensor ColumnRanks::room_for_parts(const Tensor& own_NJ) {
    return alone() ? own_NJ : Tensor(exec_, {tokens(), own_NJ.size(1)}, own_NJ.dtype());
}

void ColumnRanks::add_parts(const Tensor& own_NJ, const Tensor& parts) {
    if (alone()) return;
    Size N = own_NJ.size(0);
    Tensor all(exec_, {size() * N, own_NJ.size(1)}, own_NJ.dtype());
    exchange(
        "table dots", [&](int member) { return rows_of(parts, member); }, [&](int member) { return all.row_range(member * N, N); });
    visit_sum(exec_, all.dtype(), [&]<class D, class S>(On<D, S>) {
        Rows<S> rows = all.rows<S>();
        for (int step = 1; step < size(); step *= 2) {
            for (int member = 0; member < size(); member += 2 * step) {
                kernels::add_into<D, S>(exec_, rows.slice(member * N, N), Rows<const S>(rows.slice((member + step) * N, N)));
            }
        }
    });
    copy(exec_, own_NJ, all.row_range(0, N));
}

}  // namespace moe::ops
