#include "moe/ops/expert_exchange.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "engine/comm/pair_capacities.h"
#include "engine/comm/shares.h"
#include "engine/tensor/transfer.h"
#include "moe/kernels/expert_exchange.h"
#include "moe/kernels/pair_slots.h"
#include "moe/kernels/route_sort.h"

#include <algorithm>
#include <cmath>

namespace moe::ops {

using namespace engine;

namespace {

// At least one row: sizes that depend on the routing may be 0.
Tensor some_rows(const Exec& exec, Size rows, Size columns, Dtype dtype) {
    return packed_tensor(exec, {std::max<Size>(1, rows), columns}, dtype);
}

// Entries of `ids` (rows,J) by value below `values`, ascending: which row each stands in, where a value begins, where each entry went.
struct Sorted {
    Tensor row, begin, position, begin_of_shard;

    Sorted(Exec& exec, const Tensor& ids, Size rows, Size J, Size values, int shards)
        : row(exec, {std::max<Size>(1, rows * J)}, Dtype::i32),
          begin(exec, {values + 1}, Dtype::i32),
          position(exec, {std::max<Size>(1, rows * J)}, Dtype::i32),
          begin_of_shard(exec, {shards + 1, values}, Dtype::i32) {
        kernels::RouteArrays arrays{begin.data<std::int32_t>(), row.data<std::int32_t>(), position.data<std::int32_t>(),
                                    begin_of_shard.data<std::int32_t>()};
        visit_device(exec, [&]<class D>(D) { kernels::route_sort<D>(exec, arrays, ids.data<std::int32_t>(), rows, J, values, shards); });
    }
};

std::vector<Size> on_host(const Exec& exec, const Tensor& begins) {
    std::vector<std::int32_t> values = to_host<std::int32_t>(exec, begins);
    return {values.begin(), values.end()};
}

// The dry device knows no choices: as many for every rank.
std::vector<Size> even(Size all, Size parts) {
    std::vector<Size> begins;
    for (Size p = 0; p <= parts; ++p) begins.push_back(p * all / parts);
    return begins;
}

}  // namespace

ExpertExchange::ExpertExchange(const Exec& exec, const Tensor& kept_NK, Size own_experts)
    : exec_(exec),
      group_(sharers_of(exec, exec.sharing.experts)),
      own_experts_(own_experts),
      first_row_(rows_of_group(exec, exec.sharing.experts, kept_NK.size(0))) {
    ProfileScope profile("expert_exchange");
    exec_.shards = group_share(exec, exec.sharing.experts);
    PairCapacities* capacities = exec.sharing.capacities;
    std::vector<Size> room;
    if (capacities != nullptr) room = capacities->claim(most_of_shard(kept_NK.size(1)));
    if (room.empty()) plan_sends(kept_NK);
    ids_BK_ = gather_group(exec_, "gather_choices", group_.size(), kept_NK);
    if (room.empty()) {
        keep_own_ids(nullptr);
        plan_receives();
    } else {
        plan_within(room, kept_NK);
    }
    if (capacities == nullptr) return;
    capacities->needed(room.empty() ? from_host(exec_, {2 * Size{group_.size()}}, Dtype::i32, counts_sent()) : needs_);
}

// As claims of capacities have it: rows that go to each rank of the group, then choices.
std::vector<Size> ExpertExchange::most_of_shard(Size K) const {
    std::size_t P = static_cast<std::size_t>(group_.size());
    std::vector<Size> most(P, rows_of_shard());
    most.resize(2 * P, rows_of_shard() * K);
    return most;
}

std::vector<std::int32_t> ExpertExchange::counts_sent() const {
    std::vector<std::int32_t> counts;
    for (const Begins* begins : {&sends_, &homes_}) {
        for (std::size_t p = 0; p + 1 < begins->size(); ++p) counts.push_back(static_cast<std::int32_t>((*begins)[p + 1] - (*begins)[p]));
    }
    return counts;
}

void ExpertExchange::keep_own_ids(const std::int32_t* slot_BK) {
    visit_device(exec_, [&]<class D>(D) {
        kernels::own_ids<D>(exec_, ids_BK_.data<std::int32_t>(), ids_BK_.data<std::int32_t>(), ids_BK_.shape().elements(),
                            group_.rank() * own_experts_, own_experts_, slot_BK);
    });
}

void ExpertExchange::plan_sends(const Tensor& kept_NK) {
    Size N = kept_NK.size(0), K = kept_NK.size(1), P = group_.size();
    Tensor owner(exec_, kept_NK.shape(), Dtype::i32), of_rows = packed_tensor(exec_, {N, P}, Dtype::i32);
    visit_device(exec_, [&]<class D>(D) {
        kernels::owners<D>(exec_, owner.data<std::int32_t>(), kept_NK.data<std::int32_t>(), N * K, own_experts_);
        kernels::owners_of_rows<D>(exec_, of_rows.data<std::int32_t>(), kept_NK.data<std::int32_t>(), N, K, P, own_experts_);
    });
    Sorted choices(exec_, owner, N * K, 1, P, 1), rows(exec_, of_rows, N, P, P, 1);
    home_position_ = choices.position;
    sent_rows_ = rows.row;
    double missed = std::pow(1 - 1 / static_cast<double>(P), static_cast<double>(K));
    homes_ = exec_.device.is_dry() ? even(N * K, P) : on_host(exec_, choices.begin);
    sends_ = exec_.device.is_dry() ? even(static_cast<Size>(static_cast<double>(N * P) * (1 - missed)), P) : on_host(exec_, rows.begin);
}

void ExpertExchange::plan_receives() {
    Size B = ids_BK_.size(0), K = ids_BK_.size(1), P = group_.size();
    Tensor mine(exec_, ids_BK_.shape(), Dtype::i32), any = packed_tensor(exec_, {B, 1}, Dtype::i32);
    visit_device(exec_, [&]<class D>(D) {
        kernels::owners<D>(exec_, mine.data<std::int32_t>(), ids_BK_.data<std::int32_t>(), B * K, own_experts_);
        kernels::owners_of_rows<D>(exec_, any.data<std::int32_t>(), ids_BK_.data<std::int32_t>(), B, K, 1, own_experts_);
    });
    Sorted choices(exec_, mine, B * K, 1, 1, exec_.shards.count), rows(exec_, any, B, 1, 1, exec_.shards.count);
    choices_ = choices.row;
    received_rows_ = rows.row;
    returns_ = exec_.device.is_dry() ? even(B * K / P, P) : begins_of_ranks(choices.begin_of_shard);
    receives_ = exec_.device.is_dry() ? even(P * rows_of(sends_) / P, P) : begins_of_ranks(rows.begin_of_shard);
    routed_ = rows_of(returns_);
}

// Ranks hold whole micro-shards.
ExpertExchange::Begins ExpertExchange::begins_of_ranks(const Tensor& begin_of_shard) const {
    std::vector<Size> of_shard = on_host(exec_, begin_of_shard);
    Begins begins;
    for (Size first : first_row_) begins.push_back(of_shard[static_cast<std::size_t>(shards_of_rows(first))]);
    return begins;
}

// This rank's rows to every rank, and every rank's rows to this one, in the same slots at both ends: rank m's micro-shards have the same
// room for what goes to rank p wherever one looks.
void ExpertExchange::plan_within(const std::vector<Size>& room, const Tensor& kept_NK) {
    Size N = kept_NK.size(0), K = kept_NK.size(1);
    std::size_t P = static_cast<std::size_t>(group_.size()), own = static_cast<std::size_t>(group_.rank());
    std::vector<kernels::Pair> to_owners, from_sources;
    for (Begins* begins : {&sends_, &homes_, &receives_, &returns_}) *begins = {0};
    auto slots = [](Begins& begins, Size count) {
        Size first = begins.back();
        begins.push_back(first + count);
        return kernels::Slots{static_cast<std::int32_t>(first), static_cast<std::int32_t>(count)};
    };
    auto whole = [](Size value) { return static_cast<std::int32_t>(value); };
    for (std::size_t p = 0; p < P; ++p) {
        Size shards = shards_of_rows(N), first = first_row_[p], rows = first_row_[p + 1] - first, their_shards = shards_of_rows(rows);
        to_owners.push_back(
            {0, whole(N), whole(static_cast<Size>(p)), slots(sends_, shards * room[p]), slots(homes_, shards * room[P + p])});
        from_sources.push_back({whole(first), whole(rows), group_.rank(), slots(receives_, their_shards * room[own]),
                                slots(returns_, their_shards * room[P + own])});
    }
    auto list = [&](Size count) { return Tensor(exec_, {std::max<Size>(1, count)}, Dtype::i32); };
    Tensor slot_BK = list(first_row_.back() * K);
    needs_ = list(2 * static_cast<Size>(P));
    sent_rows_ = list(rows_of(sends_)), received_rows_ = list(rows_of(receives_));
    home_position_ = list(N * K), choices_ = list(rows_of(returns_));
    visit_device(exec_, [&]<class D>(D) {
        kernels::pair_slots<D>(exec_,
                               {sent_rows_.data<std::int32_t>(), nullptr, home_position_.data<std::int32_t>(), needs_.data<std::int32_t>()},
                               kept_NK.data<std::int32_t>(), N, K, own_experts_, to_owners);
        kernels::pair_slots<D>(exec_,
                               {received_rows_.data<std::int32_t>(), choices_.data<std::int32_t>(), slot_BK.data<std::int32_t>(), nullptr},
                               ids_BK_.data<std::int32_t>(), first_row_.back(), K, own_experts_, from_sources);
    });
    keep_own_ids(slot_BK.data<std::int32_t>());
    routed_ = rows_of(returns_);
}

Tensor ExpertExchange::exchanged(const char* collective, const Tensor& rows, const Begins& sends, const Begins& receives) {
    Tensor received = some_rows(exec_, rows_of(receives), rows.size(1), rows.dtype());
    auto parts = [](const Tensor& of, const Begins& begins) {
        std::vector<Tensor> result;
        for (std::size_t p = 0; p + 1 < begins.size(); ++p) {
            Size count = begins[p + 1] - begins[p];
            result.push_back(count > 0 ? of.row_range(begins[p], count) : Tensor());
        }
        return result;
    };
    group_.exchange(exec_, collective, parts(rows, sends), parts(received, receives));
    return received;
}

Tensor ExpertExchange::send_rows(const Tensor& x_NC) {
    ProfileScope profile("send_rows");
    Tensor packed = some_rows(exec_, rows_of(sends_), x_NC.shape().columns(), x_NC.dtype());
    visit(exec_, x_NC.dtype(), [&]<class D, class T>(On<D, T>) {
        kernels::take_rows<D, T>(exec_, packed.rows<T>().slice(0, rows_of(sends_)), x_NC.rows<T>(), sent_rows_.data<std::int32_t>());
    });
    Tensor received = exchanged("send_rows", packed, sends_, receives_), batch(exec_, {first_row_.back(), packed.size(1)}, x_NC.dtype());
    visit(exec_, x_NC.dtype(), [&]<class D, class T>(On<D, T>) {
        kernels::put_rows<D, T>(exec_, batch.rows<T>(), received.rows<T>().slice(0, rows_of(receives_)),
                                received_rows_.data<std::int32_t>());
    });
    return batch;
}

Tensor ExpertExchange::bring_home(const Tensor& rows_RC, const std::int32_t* position_BK) {
    ProfileScope profile("bring_home");
    Tensor packed = some_rows(exec_, routed_, rows_RC.size(1), rows_RC.dtype());
    visit(exec_, rows_RC.dtype(), [&]<class D, class T>(On<D, T>) {
        kernels::take_rows<D, T>(exec_, packed.rows<T>().slice(0, routed_), rows_RC.rows<T>(), choices_.data<std::int32_t>(), position_BK);
    });
    return exchanged("bring_home", packed, returns_, homes_);
}

}  // namespace moe::ops
