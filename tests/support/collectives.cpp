#include "tests/support/collectives.h"

#include "engine/comm/rank_subset.h"
#include "engine/tensor/transfer.h"

#include <cmath>

#include <doctest/doctest.h>

namespace tests {

using namespace engine;

void add_bucket(TreeSums& sums, Communicator& ranks, const Tensor& tensor, Range bucket, const std::vector<Range>& needed) {
    std::vector<Range> within;
    for (const Range& each : needed) {
        Range both = overlap(each, bucket);
        within.push_back({both.first - bucket.first, both.elements});
    }
    sums.add(ranks, tensor.view_at(bucket.first, {bucket.elements}, bucket.elements), within);
}

std::vector<double> collected(Communicator& communicator) {
    Exec exec{.communicator = &communicator};
    std::vector<double> all;
    auto keep = [&](const Tensor& tensor) {
        std::vector<double> values = to_host<double>(exec, tensor);
        all.insert(all.end(), values.begin(), values.end());
    };
    for (Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::bf16}) {
        for (const Shape& shape : {Shape{1}, Shape{7}, Shape{3, 13}, Shape{5, 1}, Shape{300'007}}) {
            std::vector<double> values(static_cast<std::size_t>(shape.elements()));
            for (std::size_t i = 0; i < values.size(); ++i) {
                values[i] = std::sin(static_cast<double>(i) + 0.3) * std::exp(static_cast<double>(communicator.rank()));
            }
            Tensor sum = from_host(exec, shape, dtype, values);
            communicator.tree_sum(exec, sum);
            keep(sum);
        }
    }
    for (Size columns : {1, 4, 13}) {
        Tensor whole(exec, {2 * communicator.size(), columns}, Dtype::i32);
        communicator.all_gather(exec, whole,
                                from_host(exec, {2, columns}, Dtype::i32,
                                          std::vector<std::int32_t>(static_cast<std::size_t>(2 * columns), communicator.rank())));
        keep(whole);
    }
    // Another number of rows from every rank to every other, none to the next one.
    std::vector<Tensor> sends, receives;
    auto rows = [&](int from, int to) { return (to - from + communicator.size()) % communicator.size() == 1 ? 0 : 1 + 2 * from + to; };
    for (int r = 0; r < communicator.size(); ++r) {
        auto tensor = [&](int count, double value) {
            return count > 0 ? from_host(exec, {count, 9}, Dtype::f32, std::vector<double>(static_cast<std::size_t>(9 * count), value))
                             : Tensor();
        };
        sends.push_back(tensor(rows(communicator.rank(), r), 10 * communicator.rank() + r));
        receives.push_back(tensor(rows(r, communicator.rank()), -1));
    }
    communicator.exchange(exec, "exchange", sends, receives);
    for (int r = 0; r < communicator.size(); ++r) {
        if (!receives[static_cast<std::size_t>(r)].defined()) continue;
        CHECK(to_host<double>(exec, receives[static_cast<std::size_t>(r)]) ==
              std::vector<double>(static_cast<std::size_t>(9 * rows(r, communicator.rank())), 10 * r + communicator.rank()));
    }
    // Several under way, and one that is waited for among them; ended in another order.
    std::vector<std::vector<Tensor>> outgoing(3), incoming(3);
    std::vector<Communicator::Ticket> tickets;
    auto marked = [&](std::size_t i, int from, int to) { return static_cast<double>(1000 * static_cast<int>(i) + 10 * from + to); };
    auto filled = [&](Size count, double mark) {
        return from_host(exec, {2, count}, Dtype::f32, std::vector<double>(static_cast<std::size_t>(2 * count), mark));
    };
    for (std::size_t i = 0; i < 3; ++i) {
        for (int r = 0; r < communicator.size(); ++r) {
            Size count = i == 1 ? 100'003 : 13;
            outgoing[i].push_back(filled(count, marked(i, communicator.rank(), r)));
            incoming[i].push_back(filled(count, -1));
        }
        if (i == 1) {
            tickets.push_back(0);
            communicator.exchange(exec, "exchange", outgoing[i], incoming[i]);
        } else {
            tickets.push_back(communicator.begin_exchange(exec, "exchange", outgoing[i], incoming[i]));
        }
        communicator.advance();
    }
    communicator.end_exchange(exec, tickets[2]);
    communicator.end_exchange(exec, tickets[0]);
    for (std::size_t i = 0; i < 3; ++i) {
        for (int r = 0; r < communicator.size(); ++r) {
            const Tensor& from = incoming[i][static_cast<std::size_t>(r)];
            CHECK(to_host<double>(exec, from) ==
                  std::vector<double>(static_cast<std::size_t>(from.shape().elements()), marked(i, r, communicator.rank())));
        }
    }
    // Parts that overlap, some of them empty: each rank has its own of the sum, whose buckets are on their way beside other exchanges.
    std::vector<Range> parts;
    for (int r = 0; r < communicator.size(); ++r) {
        parts.push_back({std::max<Size>(0, r * 1000 - 30), r % 3 == 2 ? 0 : 1030 + (r % 2 == 0 ? 300'000 : 0)});
    }
    auto value = [](int rank, Size i) { return std::sin(static_cast<double>(i) + 0.3) * std::exp(static_cast<double>(rank)); };
    std::vector<float> summands(400'020);
    for (std::size_t i = 0; i < summands.size(); ++i) summands[i] = static_cast<float>(value(communicator.rank(), static_cast<Size>(i)));
    Tensor whole = from_host(exec, {400'020}, Dtype::f32, summands), in_parts = from_host(exec, {400'020}, Dtype::f32, summands);
    communicator.tree_sum(exec, whole);
    constexpr Size kBucket = 70'001;
    TreeSums sums(exec, Dtype::f32, kBucket, 2);
    for (Size first = 0; first < in_parts.size(0); first += kBucket) {
        Range bucket{first, std::min(kBucket, in_parts.size(0) - first)};
        add_bucket(sums, communicator, in_parts, bucket, parts);
        communicator.advance();
        Tensor ranks(exec, {communicator.size()}, Dtype::i32);
        communicator.all_gather(exec, ranks.reshaped({communicator.size(), 1}),
                                from_host(exec, {1, 1}, Dtype::i32, std::vector<std::int32_t>{communicator.rank()}));
        keep(ranks);
    }
    sums.finish();
    if (const Range& part = parts[static_cast<std::size_t>(communicator.rank())]; part.elements > 0) {
        auto of = [&](const Tensor& tensor) { return to_host<double>(exec, tensor.view_at(part.first, {part.elements}, part.elements)); };
        CHECK(of(in_parts) == of(whole));
    }
    if (communicator.size() % 2 == 0) {
        int first = communicator.rank() % 2;
        std::vector<int> members;
        for (int r = first; r < communicator.size(); r += 2) members.push_back(r);
        RankSubset every_second(communicator, members);
        CHECK(every_second.rank() == communicator.rank() / 2);
        Tensor sum = from_host(exec, {1001}, Dtype::f32, std::vector<double>(1001, 1 << communicator.rank()));
        exec.communicator = &every_second;
        every_second.tree_sum(exec, sum);
        exec.communicator = &communicator;
        CHECK(to_host<double>(exec, sum) == std::vector<double>(1001, ((1 << communicator.size()) - 1) / 3 << first));
    }
    for (int r = 0; r < communicator.size(); ++r) all.push_back(communicator.any(communicator.rank() == r));
    all.push_back(communicator.any(false));
    return all;
}

std::vector<double> collected_by_virtual_ranks(int ranks) {
    std::vector<double> result;
    run_virtual_ranks(ranks, [&](Communicator& communicator) {
        std::vector<double> own = collected(communicator);
        if (communicator.rank() == 0) result = own;
    });
    return result;
}

}  // namespace tests
