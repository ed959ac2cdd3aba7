// `bench comm`: what ranks say to each other, checked to the last bit and timed.
#include "apps/bench_comm.h"

#include "apps/byte_progress.h"
#include "apps/comm_check.h"
#include "apps/comm_timing.h"
#include "apps/command.h"
#include "apps/option_checks.h"
#include "apps/rank_group.h"
#include "apps/rank_options.h"
#include "apps/rank_values.h"
#include "apps/runtime.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include <unistd.h>

namespace apps {

using namespace engine;

namespace {

struct CommOptions {
    int ranks = 0;
    std::string device = "cpu", out;
    double largest_megabytes = 64, seconds = 0.1, rank_timeout = 600;
    RankOptions rank;
    bool as_json = false;
};

// This run's ranks: a launcher's processes, or virtual ones.
struct Place {
    std::string who;
    int local_ranks;
};

// A sixteenth of this machine's memory for the tensors of a collective, its ranks together: what they send and receive is as much again.
Size largest_tensor(Exec& exec, const CommOptions& options, int local_ranks) {
    double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
    double own = std::min(options.largest_megabytes * 1048576, memory / 16 / local_ranks);
    std::vector<double> all = values_of_ranks(exec, {own});
    return std::max<Size>(4, static_cast<Size>(*std::min_element(all.begin(), all.end())));
}

void print_head(const Exec& exec, const Place& place, const CommChecks& checks) {
    std::vector<std::string> failures = checks.failures();
    std::cout << fmt::format("{} ranks of {} ({}), {} on this machine; {} of {} checks exact; the tree's hash {:016x}\n", rank_count(exec),
                             device_name(exec.device), place.who, place.local_ranks, checks.checks.size() - failures.size(),
                             checks.checks.size(), checks.tree_hash);
    for (const std::string& failure : failures) std::cout << "WRONG: " << failure << "\n";
    std::cout << fmt::format("\n{:<12} {:>12} {:>12} {:>12} {:>8} {:>10} {:>10}\n", "collective", "bytes", "us min", "us median", "calls",
                             "GB/s", "bus GB/s");
}

void print_row(const CommTiming& timing) {
    std::cout << fmt::format("{:<12} {:>12} {:>12.2f} {:>12.2f} {:>8} {:>10.3f} {:>10.3f}", timing.collective, timing.bytes,
                             timing.least * 1e6, timing.median * 1e6, timing.calls,
                             static_cast<double>(timing.bytes) / timing.median * 1e-9, timing.bus_bytes / timing.median * 1e-9)
              << std::endl;
}

void print_constants(const CommConstants& constants) {
    for (const auto& [where, links] : {std::pair{"on one machine", constants.local}, std::pair{"between machines", constants.remote}}) {
        for (const auto& [collective, link] : links) {
            std::cout << fmt::format("\n{} {}: {:.2f} us an exchange, {:.3f} GB/s leave a rank", collective, where, link.latency * 1e6,
                                     link.bandwidth * 1e-9);
        }
    }
    std::cout << std::endl;
}

nlohmann::ordered_json json_of(const Exec& exec, const Place& place, const CommChecks& checks, const std::vector<CommTiming>& timings,
                               const CommConstants& constants) {
    nlohmann::ordered_json out{{"device", device_name(exec.device)},
                               {"ranks", rank_count(exec)},
                               {"launcher", place.who},
                               {"local_ranks", place.local_ranks},
                               {"tree_hash", fmt::format("{:016x}", checks.tree_hash)}};
    for (const CommCheck& check : checks.checks) {
        out["checks"].push_back(
            {{"collective", check.collective}, {"of", check.what}, {"exact", check.exact()}, {"wrong_ranks", check.wrong_ranks}});
    }
    for (const CommTiming& timing : timings) {
        out["results"].push_back({{"collective", timing.collective},
                                  {"bytes", timing.bytes},
                                  {"seconds_min", timing.least},
                                  {"seconds_median", timing.median},
                                  {"calls", timing.calls},
                                  {"bus_bytes", timing.bus_bytes},
                                  {"bus_bytes_per_second", timing.bus_bytes / timing.median}});
    }
    for (const auto& [where, links] : {std::pair{"local", constants.local}, std::pair{"remote", constants.remote}}) {
        for (const auto& [collective, link] : links) {
            out["constants"][where][collective] = {{"latency_seconds", link.latency}, {"bytes_per_second", link.bandwidth}};
        }
    }
    return out;
}

// Every rank; the first one tells.
void bench_ranks(Exec exec, const Place& place, const CommOptions& options) {
    bool tells = exec.communicator->rank() == 0;
    CommChecks checks = check_collectives(exec);
    if (tells && !options.as_json) print_head(exec, place, checks);
    auto watch = [&](const CommTiming& timing) {
        if (tells && !options.as_json) print_row(timing);
    };
    std::vector<CommTiming> timings = time_collectives(exec, largest_tensor(exec, options, place.local_ranks), options.seconds, watch);
    CommConstants constants = constants_of(timings, options.device, rank_count(exec), place.local_ranks);
    if (tells && options.as_json) std::cout << json_of(exec, place, checks, timings, constants).dump(2) << std::endl;
    if (tells && !options.as_json) print_constants(constants);
    std::vector<std::string> failures = checks.failures();
    if (!failures.empty()) {
        throw AgreedError(
            fmt::format("[comm] {} of {} checks are wrong, the first: {}; hint: nothing that these ranks train can be trusted",
                        failures.size(), checks.checks.size(), failures.front()));
    }
    if (tells && !options.out.empty()) save_constants(options.out, constants);
}

int run_bench_comm(const CommOptions& options) {
    if (options.device == "simt") throw UsageError("[bench] simt checks kernels and does not time them; hint: --device cpu or cuda");
    RankEnvironment environment = rank_environment(options.rank);
    if (environment.size > 1 && options.ranks > 0 && options.ranks != environment.size) {
        throw UsageError(fmt::format("[bench] --ranks is {}, but {} started {}; hint: leave --ranks to the launcher", options.ranks,
                                     environment.launcher, environment.size));
    }
    std::unique_ptr<RankGroup> group = RankGroup::join(environment, options.rank_timeout);
    int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    if (group) {
        return group->guard([&] {
            Runtime runtime(group->device_of(options.device), std::max(1, cores / group->local_size()));
            std::unique_ptr<Communicator> gpus = group->gpu_ranks(runtime.exec().device);
            bench_ranks(runtime.exec(gpus ? gpus.get() : &group->communicator()), {environment.launcher, group->local_size()}, options);
            return kDone;
        });
    }
    int ranks = options.ranks > 0 ? options.ranks : 2;
    Runtime runtime(options.device, 0);
    run_virtual_ranks(ranks, [&](Communicator& communicator) { bench_ranks(runtime.exec(&communicator), {"virtual", ranks}, options); });
    return kDone;
}

}  // namespace

std::function<int()> add_bench_comm(CLI::App& app) {
    auto options = std::make_shared<CommOptions>();
    app.add_option("--ranks", options->ranks, "virtual ranks in one process (default: 2); a launcher's are processes")
        ->check(between(1, 1024));
    app.add_option("--device", options->device, "cpu, cuda or cuda:N");
    app.add_option("--largest", options->largest_megabytes, "MB of the largest tensor, if memory allows it (default: 64)")
        ->check(between(1e-5, 65536.0));
    app.add_option("--seconds", options->seconds, "time spent on a size (default: 0.1)")->check(between(0.0, 60.0));
    add_rank_options(app, options->rank, options->rank_timeout);
    app.add_option("--out", options->out, "save latencies and bandwidths here, for plan --comm");
    app.add_flag("--json", options->as_json, "print one JSON document");
    return [options] { return run_bench_comm(*options); };
}

}  // namespace apps
