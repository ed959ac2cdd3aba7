#include "apps/step_estimate.h"

#include <cmath>

#include <doctest/doctest.h>

using apps::Cluster;
using apps::StepEstimate;
using apps::StepWork;

namespace {

// H100s with a library's sums in two levels, beside the backward pass: two thirds of the computing.
Cluster gpus() {
    Cluster cluster = apps::assumed_cluster("cuda");
    cluster.two_levels = true;
    cluster.overlap = 2.0 / 3;
    return cluster;
}

StepWork work(double active, double tokens, double parameters) {
    return {.flops = 6 * active * tokens, .sum_bytes = 2 * parameters, .gather_calls = 0};
}

}  // namespace

TEST_CASE("a σ-MoE of 262M parameters and a MoE of 7B cost at 8 to 4096 GPUs what was worked out on paper") {
    struct Row {
        double active, tokens, parameters, milliseconds[4], percent[4];
    };
    // Gradients in bf16; 110M and 1.3B parameters work for a token. Published to two digits or whole per cent: half a unit of the last.
    for (const Row& row : {Row{110e6, 4096, 262e6, {2.6, 5.4, 5.9, 6.0}, {100, 89, 84, 82}},
                           Row{110e6, 32768, 262e6, {2.6, 5.4, 5.9, 6.0}, {100, 100, 100, 100}},
                           Row{1.3e9, 4096, 7e9, {68, 141, 150, 152}, {85, 48, 46, 45}},
                           Row{1.3e9, 32768, 7e9, {68, 141, 150, 152}, {100, 100, 100, 100}}}) {
        int at = 0;
        for (int ranks : {8, 64, 512, 4096}) {
            CAPTURE(row.parameters);
            CAPTURE(ranks);
            StepEstimate step = apps::estimate_step(gpus(), ranks, work(row.active, row.tokens, row.parameters));
            double unit = row.milliseconds[at] < 10 ? 0.05 : 0.5;
            CHECK(std::abs(step.sum * 1e3 - row.milliseconds[at]) <= unit);
            CHECK(std::abs(step.efficiency() * 100 - row.percent[at]) <= 0.5);
            ++at;
        }
    }
}

TEST_CASE("one rank sends nothing: its step is computing and updating") {
    for (bool two_levels : {false, true}) {
        Cluster cluster = gpus();
        cluster.two_levels = two_levels;
        StepEstimate step = apps::estimate_step(cluster, 1, {.flops = cluster.flops, .sum_bytes = 1e9, .gather_bytes = 1e9});
        CHECK(step.total() == 1);
        CHECK(step.efficiency() == 1);
    }
}

TEST_CASE("sums from every rank to every rank, by hand") {
    Cluster cluster{.flops = 100,
                    .memory = 50,
                    .ranks_per_node = 2,
                    .local_sum = {1, 10},
                    .remote_sum = {3, 4},
                    .local_gather = {2, 20},
                    .remote_gather = {5, 8},
                    .message = 0.5,
                    .overlap = 0.25};
    // 2 ranks, one machine: half of 80 bytes there, half back.
    CHECK(apps::sum_seconds(cluster, 2, 80, 1) == 2 * (1 + 40.0 / 10));
    CHECK(apps::gather_seconds(cluster, 2, 80, 3) == 3 * 2 + 40.0 / 20);
    // 4 ranks on 2 machines: a quarter stays inside (20 / 10 s), two quarters leave (40 / 4 s): the longer counts. Two more messages.
    CHECK(apps::sum_seconds(cluster, 4, 80, 1) == 2 * (3 + 2 * 0.5 + 40.0 / 4));
    CHECK(apps::gather_seconds(cluster, 4, 80, 1) == 5 + 2 * 0.5 + 40.0 / 8);
    // A machine whose inside is slower than what leads out of it.
    cluster.local_sum.bandwidth = 1;
    CHECK(apps::sum_seconds(cluster, 4, 80, 1) == 2 * (3 + 2 * 0.5 + 20.0 / 1));
    // A step: 400 FLOPs, of whose 4 s a quarter hides the sum; 150 bytes of the optimizer's.
    CHECK(apps::exchange_seconds(cluster, 1, 80, 3) == 0);
    CHECK(apps::exchange_seconds(cluster, 2, 80, 3) == 3 * 2 + 80.0 / 20);
    CHECK(apps::exchange_seconds(cluster, 4, 80, 1) == 5 + 2 * 0.5 + 80.0 / 8);
    StepEstimate step = apps::estimate_step(cluster, 2, {.flops = 400, .sum_bytes = 80, .gather_bytes = 40, .optimizer_bytes = 150});
    CHECK(step.compute == 4);
    CHECK(step.sum == 2 * (1 + 40.0));
    CHECK(step.exposed_sum == 81);
    CHECK(step.gather == 2 + 1);
    CHECK(step.optimizer == 3);
    CHECK(step.total() == 91);
    CHECK(step.efficiency() == 4.0 / 88);
}

TEST_CASE("sums in two levels, by hand, with a machine that is not full") {
    Cluster cluster{.flops = 1,
                    .memory = 1,
                    .ranks_per_node = 4,
                    .local_sum = {1, 10},
                    .remote_sum = {3, 4},
                    .local_gather = {2, 20},
                    .remote_gather = {5, 8},
                    .two_levels = true};
    // 7 ranks fill 2 machines of 4: ¾ of 80 bytes inside, half of 20 between, log₂ 2 = 1 latency.
    CHECK(apps::sum_seconds(cluster, 7, 80, 1) == 2 * ((1 + 60.0 / 10) + (3 + 10.0 / 4)));
    CHECK(apps::gather_seconds(cluster, 7, 80, 2) == (2 * 2 + 60.0 / 20) + (2 * 5 + 10.0 / 8));
}

TEST_CASE("measured links take the place of assumed ones, and every constant says where it is from") {
    Cluster cluster = apps::assumed_cluster("cpu");
    apps::CommConstants constants{
        .device = "cpu", .ranks = 2, .local = {{"tree_sum", {1e-6, 7e9}}, {"all_gather", {2e-6, 9e9}}}, .remote = {}};
    apps::use_constants(cluster, constants, false, "comm.json");
    CHECK(cluster.local_sum.bandwidth == 5e9);  // no plain_sum was measured
    apps::use_constants(cluster, constants, true, "comm.json");
    apps::use_speeds(cluster, 3e10, 0);
    CHECK(cluster.local_sum.bandwidth == 7e9);
    CHECK(cluster.local_gather.latency == 2e-6);
    CHECK(cluster.flops == 3e10);
    CHECK(cluster.sources == std::vector<std::string>{"given: 30 GFLOP/s of a rank",
                                                      "assumed: 10 GB/s of a rank's memory (--memory-bandwidth)",
                                                      "measured: 2 us and 9 GB/s inside a machine, 1 us and 7 GB/s for sums (cpu, 2 ranks, "
                                                      "comm.json)",
                                                      "assumed: 50 us and 1.25 GB/s between machines (--comm)"});
}
