#include "apps/step_estimate.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace apps {
namespace {

// Machines that `ranks` ranks fill, and ranks of the fullest.
struct Levels {
    double nodes, local;
};

Levels levels_of(const Cluster& cluster, int ranks) {
    int local = std::min(ranks, cluster.ranks_per_node);
    return {static_cast<double>((ranks + local - 1) / local), static_cast<double>(local)};
}

// Of whole tensors of `bytes`, in `calls` calls of one gather each.
double one_gather(const Cluster& cluster, int ranks, double bytes, double calls, const Link& local, const Link& remote) {
    if (ranks == 1) return 0;
    auto [m, g] = levels_of(cluster, ranks);
    double n = ranks;
    if (cluster.two_levels) {
        double inside = g > 1 ? calls * local.latency + (g - 1) / g * bytes / local.bandwidth : 0;
        double between = m > 1 ? calls * remote.latency * std::log2(m) + (m - 1) / m * (bytes / g) / remote.bandwidth : 0;
        return inside + between;
    }
    double latency = m > 1 ? remote.latency : local.latency;
    double inside = (g - 1) / n * bytes / local.bandwidth, between = m > 1 ? (n - g) / n * bytes / remote.bandwidth : 0;
    return calls * (latency + (n - 2) * cluster.message) + std::max(inside, between);
}

constexpr const char* kFlops = "FLOP/s of a rank";
constexpr const char* kMemory = "GB/s of a rank's memory";
constexpr const char* kLocal = "inside a machine";
constexpr const char* kRemote = "between machines";

std::string link_text(const Link& link) { return fmt::format("{:.3g} us and {:.4g} GB/s", link.latency * 1e6, link.bandwidth * 1e-9); }

// The source of `what` is another one now.
void replace_source(Cluster& cluster, const char* what, const std::string& text) {
    for (std::string& source : cluster.sources) {
        if (source.find(what) != std::string::npos) source = text;
    }
}

}  // namespace

double sum_seconds(const Cluster& cluster, int ranks, double bytes, double calls) {
    return 2 * one_gather(cluster, ranks, bytes, calls, cluster.local_sum, cluster.remote_sum);
}

double gather_seconds(const Cluster& cluster, int ranks, double bytes, double calls) {
    return one_gather(cluster, ranks, bytes, calls, cluster.local_gather, cluster.remote_gather);
}

double exchange_seconds(const Cluster& cluster, int ranks, double sent_bytes, double calls) {
    if (ranks == 1) return 0;
    const Link& link = ranks <= cluster.ranks_per_node ? cluster.local_gather : cluster.remote_gather;
    return calls * (link.latency + (ranks - 2) * cluster.message) + sent_bytes / link.bandwidth;
}

StepEstimate estimate_step(const Cluster& cluster, int ranks, const StepWork& work) {
    StepEstimate step{.compute = work.flops / cluster.flops};
    step.sum = sum_seconds(cluster, ranks, work.sum_bytes, work.sum_calls);
    step.exposed_sum = std::max(0.0, step.sum - cluster.overlap * step.compute);
    step.gather = gather_seconds(cluster, ranks, work.gather_bytes, work.gather_calls);
    step.exchange = exchange_seconds(cluster, work.exchange_ranks, work.exchange_bytes, work.exchange_calls);
    step.optimizer = work.optimizer_bytes / cluster.memory;
    return step;
}

Cluster assumed_cluster(const std::string& device) {
    bool gpu = device.starts_with("cuda");
    Cluster cluster;
    Link local = gpu ? Link{10e-6, 360e9} : Link{5e-6, 5e9}, remote = gpu ? Link{20e-6, 42e9} : Link{50e-6, 1.25e9};
    cluster.flops = gpu ? 989e12 * 0.40 : 50e9;
    cluster.memory = gpu ? 3.35e12 * 0.8 : 10e9;
    cluster.local_sum = cluster.local_gather = local;
    cluster.remote_sum = cluster.remote_gather = remote;
    cluster.sources = {
        fmt::format("assumed: {:.4g} G{}{} (--flops)", cluster.flops * 1e-9, kFlops, gpu ? ", an H100 in bfloat16 at MFU 0.40" : ""),
        fmt::format("assumed: {:.4g} {} (--memory-bandwidth)", cluster.memory * 1e-9, kMemory),
        fmt::format("assumed: {} {} (--comm)", link_text(local), kLocal),
        fmt::format("assumed: {} {} (--comm)", link_text(remote), kRemote),
    };
    return cluster;
}

void use_constants(Cluster& cluster, const CommConstants& constants, bool exact, const std::string& source) {
    std::string sum = exact ? "tree_sum" : "plain_sum";
    auto use = [&](const std::map<std::string, Link>& links, Link& for_sum, Link& for_gather, const char* where) {
        if (!links.contains(sum) || !links.contains("all_gather")) return;
        for_sum = links.at(sum);
        for_gather = links.at("all_gather");
        replace_source(cluster, where,
                       fmt::format("measured: {} {}, {} for sums ({}, {} ranks, {})", link_text(for_gather), where, link_text(for_sum),
                                   constants.device, constants.ranks, source));
    };
    use(constants.local, cluster.local_sum, cluster.local_gather, kLocal);
    use(constants.remote, cluster.remote_sum, cluster.remote_gather, kRemote);
}

void use_speeds(Cluster& cluster, double flops, double memory) {
    if (flops > 0) {
        cluster.flops = flops;
        replace_source(cluster, kFlops, fmt::format("given: {:.4g} G{}", flops * 1e-9, kFlops));
    }
    if (memory > 0) {
        cluster.memory = memory;
        replace_source(cluster, kMemory, fmt::format("given: {:.4g} {}", memory * 1e-9, kMemory));
    }
}

}  // namespace apps
