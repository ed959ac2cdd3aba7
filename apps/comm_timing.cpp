#include "apps/comm_timing.h"

#include "apps/elapsed.h"
#include "apps/rank_values.h"
#include "engine/cuda/runtime.h"

#include <algorithm>

namespace apps {

using namespace engine;

namespace {

constexpr int kBatches = 5;

// Seconds of `calls` calls on the slowest rank, all of which begin together.
double slowest(Exec& exec, const std::function<void()>& call, long calls) {
    exec.communicator->any(false);
    auto begin = std::chrono::steady_clock::now();
    for (long i = 0; i < calls; ++i) call();
    if (exec.device.kind == DeviceKind::cuda) cuda::synchronize(exec.stream);
    std::vector<double> all = values_of_ranks(exec, {seconds_since(begin)});
    return *std::max_element(all.begin(), all.end());
}

CommTiming timed(Exec& exec, const std::string& collective, Size bytes, const std::function<void()>& call, double budget) {
    double once = slowest(exec, call, 1);
    for (int i = 0; i < 3; ++i) once = std::min(once, slowest(exec, call, 1));
    // The same on every rank, as `once` is.
    long calls = std::clamp(static_cast<long>(budget / kBatches / std::max(once, 1e-7)), 1L, 10'000L);
    std::vector<double> seconds(kBatches);
    for (double& each : seconds) each = slowest(exec, call, calls) / static_cast<double>(calls);
    std::sort(seconds.begin(), seconds.end());
    double leaving = bus_factor(collective, rank_count(exec)) * static_cast<double>(bytes);
    return {collective, bytes, seconds.front(), seconds[kBatches / 2], kBatches * calls, leaving};
}

}  // namespace

std::vector<CommTiming> time_collectives(Exec& exec, Size largest, double seconds, const std::function<void(const CommTiming&)>& watch) {
    std::vector<CommTiming> timings;
    Communicator& ranks = *exec.communicator;
    auto add = [&](const std::string& collective, Size bytes, const std::function<void()>& call) {
        timings.push_back(timed(exec, collective, bytes, call, seconds));
        watch(timings.back());
    };
    for (Size bytes = 4; bytes <= largest; bytes *= 4) {
        Size part = std::max<Size>(1, bytes / 4 / ranks.size());
        Tensor whole = zeros(exec, {part * ranks.size()}, Dtype::f32).reshaped({ranks.size(), part});
        Tensor own = whole.row_range(ranks.rank(), 1);
        add("all_gather", whole.shape().elements() * 4, [&] { ranks.all_gather(exec, whole, own); });
    }
    for (const char* collective : {"tree_sum", "plain_sum"}) {
        bool tree = std::string_view(collective) == "tree_sum";
        for (Size bytes = 4; bytes <= largest; bytes *= 4) {
            Tensor sum = zeros(exec, {bytes / 4}, Dtype::f32);
            add(collective, bytes, [&] { tree ? ranks.tree_sum(exec, sum) : ranks.plain_sum(exec, sum); });
        }
    }
    return timings;
}

CommConstants constants_of(const std::vector<CommTiming>& timings, const std::string& device, int ranks, int local_ranks) {
    std::map<std::string, std::vector<CommPoint>> points;
    for (const CommTiming& timing : timings) points[timing.collective].push_back({timing.bus_bytes, timing.median});
    CommConstants constants{.device = device, .ranks = ranks, .local = {}, .remote = {}};
    for (auto& [collective, own] : points) {
        if (local_ranks < ranks) {
            // Only what leaves the machine; the rest travels beside it.
            for (CommPoint& point : own) point.bytes *= static_cast<double>(ranks - local_ranks) / (ranks - 1);
            constants.remote[collective] = fitted_link(own, exchanges_of(collective));
        } else {
            constants.local[collective] = fitted_link(own, exchanges_of(collective));
        }
    }
    return constants;
}

}  // namespace apps
