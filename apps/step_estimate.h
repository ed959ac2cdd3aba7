#pragma once
#include "apps/comm_constants.h"

#include <string>
#include <vector>

namespace apps {

// A model of a training step's time on n ranks, g of them a machine, m machines. No stragglers, congestion or failures. All in seconds,
// bytes, FLOPs. Volumes: nccl-tests, "Performance"; two levels: Thakur et al. 2005 and NCCL's rings inside and between nodes.
//
// One exchange: latency + max(bytes to ranks of the machine / local bandwidth, bytes to others / remote bandwidth) + (n−2)·message.
//
// flat        what tree_sum, in buckets, and all_gather do: every rank with every other one. S bytes, g' = min(g, n):
//   gather    one exchange of (g'−1)·S/n and (n−g')·S/n
//   sum       two of them: a slice to each rank, the slice's sum to all
// two levels  what a library's own sum does (reduction = fast on GPUs):
//   gather    [g > 1] α_local + (g−1)/g·S/B_local  +  [m > 1] α_remote·log₂m + (m−1)/m·(S/g)/B_remote
//   sum       twice that: reduce-scatter, then gather
// exchange    rows to the ranks of a group and back (experts over ranks): calls·(latency + (P−2)·message) + bytes that leave a rank /
// bandwidth,
//             of the machine's links where the group fits it, else of those between machines
// step        compute + max(0, sum − overlap·compute) + gather + exchange + optimizer
//   overlap   2/3, the backward pass, beside which buckets of gradients travel as its nodes complete them (nn/gradient_sums.h). Too good
//             for what completes last, the embedding's, and where the cores that compute carry the bytes: CPU ranks of one machine.
//             Buckets' latencies stand in a row, as in a GPU's stream
//   compute   3·(forward FLOPs of the rank's tokens) / (peak·MFU)
//   optimizer bytes that AdamW and the norm touch / memory bandwidth
// efficiency  compute / (compute + exposed sum + gather + exchange)

// Of a step's computing: two of three products.
constexpr double kBackwardShare = 2.0 / 3;

// The ranks' machines.
struct Cluster {
    double flops = 0;   // a second and rank: peak · MFU
    double memory = 0;  // bytes a second and rank
    int ranks_per_node = 8;
    Link local_sum, remote_sum, local_gather, remote_gather;
    double message = 1e-6;  // between two messages that leave a rank
    double overlap = 0;     // part of compute beside which gradients are summed
    bool two_levels = false;
    std::vector<std::string> sources;  // where each of these is from, in words: "assumed: …", "measured: …", "given: …"
};

// Of one rank and step.
struct StepWork {
    double flops = 0;
    double sum_bytes = 0, gather_bytes = 0;  // of whole tensors
    double sum_calls = 1, gather_calls = 1;
    double exchange_bytes = 0, exchange_calls = 0;  // that leave the rank, in a group of so many ranks
    int exchange_ranks = 1;
    double optimizer_bytes = 0;
};

struct StepEstimate {
    double compute = 0, sum = 0, exposed_sum = 0, gather = 0, exchange = 0, optimizer = 0;
    double total() const { return compute + exposed_sum + gather + exchange + optimizer; }
    double efficiency() const { return compute / (compute + exposed_sum + gather + exchange); }
};

// Seconds of `calls` calls that sum or gather `bytes` together.
double sum_seconds(const Cluster& cluster, int ranks, double bytes, double calls);
double gather_seconds(const Cluster& cluster, int ranks, double bytes, double calls);
double exchange_seconds(const Cluster& cluster, int ranks, double sent_bytes, double calls);
StepEstimate estimate_step(const Cluster& cluster, int ranks, const StepWork& work);

// Assumed where nothing is measured: an H100 of 989 TFLOP/s (bfloat16) at MFU 0.40, 360 GB/s and 10 µs inside a machine, 42 GB/s and 20 µs
// between machines; for `cpu` some cores of a server with 10 Gb/s Ethernet.
Cluster assumed_cluster(const std::string& device);
// Measured links in place of assumed ones: `exact` sums are tree_sum's, others plain_sum's.
void use_constants(Cluster& cluster, const CommConstants& constants, bool exact, const std::string& source);
// In place of what is assumed; 0 leaves it so.
void use_speeds(Cluster& cluster, double flops, double memory);

}  // namespace apps
