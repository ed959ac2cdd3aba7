#include "apps/rank_group.h"

#include "apps/command.h"
#include "apps/rank_device.h"
#include "apps/rank_meeting.h"
#include "apps/training_run.h"
#include "engine/comm/agreement.h"
#include "engine/comm/gpu_place.h"
#include "engine/comm/nccl_ranks.h"
#include "engine/cuda/runtime.h"

#include <algorithm>
#include <cstdlib>

namespace apps {

using namespace engine;

namespace {

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// Without the comment that a configuration's line ends in.
std::string told(const std::string& line) {
    std::size_t end = line.substr(0, line.find(" #")).find_last_not_of(' ');
    return end == std::string::npos ? "nothing" : line.substr(0, end + 1);
}

// The lines at which two texts first differ.
std::pair<std::string, std::string> difference(std::string a, std::string b) {
    while (!a.empty() && !b.empty() && first_line(a) == first_line(b)) {
        a.erase(0, std::min(a.size(), first_line(a).size() + 1));
        b.erase(0, std::min(b.size(), first_line(b).size() + 1));
    }
    return {told(first_line(a)), told(first_line(b))};
}

bool speaks_nccl(Device device) {
    return device.kind == DeviceKind::cuda || (device.kind == DeviceKind::simt && std::getenv("MOEGRAD_NCCL_LIBRARY") != nullptr);
}

}  // namespace

RankGroup::RankGroup(std::unique_ptr<Transport> transport, const RankEnvironment& environment, double patience)
    : transport_(std::move(transport)),
      communicator_(process_ranks(*transport_)),
      local_rank_(environment.local_rank.value_or(transport_->local_rank())),
      patience_(patience) {}

std::unique_ptr<RankGroup> RankGroup::join(const RankEnvironment& environment, double patience) {
    if (environment.size == 1) return {};
    expect(environment.meeting || environment.by_mpi, "ranks", "{} started rank {} of {}, but nothing says where they meet; hint: {}",
           environment.launcher, environment.rank, environment.size, environment.hint);
    std::unique_ptr<Transport> transport;
    if (environment.meeting) {
        TcpMeeting meeting = *environment.meeting;
        meeting.seconds = patience;
        transport = tcp_transport(meeting, patience);
    } else {
        transport = mpi_transport(patience);
    }
    std::unique_ptr<RankGroup> group(new RankGroup(std::move(transport), environment, patience));
    expect(group->size() == environment.size, "ranks",
           "{} started {} ranks, but MPI sees {}: this is rank {}; hint: start with mpirun, srun --mpi=pmix or moegrad launch",
           environment.launcher, environment.size, group->size(), environment.rank);
    std::string way = environment.meeting ? fmt::format("meeting over TCP at {}", told_place(*environment.meeting)) : "speaking MPI";
    if (group->is_first()) fmt::print(stderr, "{} ranks, started by {}, {}\n", group->size(), environment.launcher, way);
    return group;
}

void RankGroup::agree(const std::vector<Topic>& topics) {
    for (const Topic& topic : topics) {
        std::vector<std::string> texts = texts_of_ranks(*communicator_, topic.text);
        for (std::size_t r = 1; r < texts.size(); ++r) {
            if (texts[r] == texts[0]) continue;
            auto [first, other] = difference(texts[0], texts[r]);
            throw AgreedError(
                fmt::format("[ranks] ranks differ in their {}: rank 0 has {}, rank {} has {}; hint: start every rank with the "
                            "same command, program and data",
                            topic.name, first, r, other));
        }
    }
}

std::string RankGroup::device_of(const std::string& device) {
    std::string own;
    all_do([&] {
        own = device_of_rank(device, {.rank = local_rank_,
                                      .count = local_size(),
                                      .gpus = cuda::device_count(),
                                      .gpus_are_named = std::getenv("CUDA_VISIBLE_DEVICES") != nullptr});
        if (speaks_nccl(parse_device(own))) nccl::library();
    });
    return own;
}

std::unique_ptr<Communicator> RankGroup::gpu_ranks(Device device) {
    if (!speaks_nccl(device)) return {};
    try {
        std::unique_ptr<Communicator> ranks = nccl_ranks(*transport_, device, patience_);
        if (is_first()) fmt::print(stderr, "tensors travel by NCCL {}\n", nccl::version_text(nccl::library().version));
        return ranks;
    } catch (const UnfitRanks& error) { throw AgreedError(error.what()); }
}

void RankGroup::all_do(const std::function<void()>& body) {
    std::string message;
    try {
        body();
    } catch (const std::exception& error) { message = error.what(); }
    if (!communicator_->any(!message.empty())) return;
    for (const std::string& each : texts_of_ranks(*communicator_, message)) {
        if (!each.empty()) throw AgreedError(each);
    }
}

void RankGroup::first_does(const std::function<void()>& body) {
    std::string message;
    if (is_first()) {
        try {
            body();
        } catch (const std::exception& error) { message = error.what(); }
    }
    if (communicator_->any(!message.empty())) throw AgreedError(message);
}

int RankGroup::guard(const std::function<int()>& body) {
    try {
        return body();
    } catch (const AgreedError&) {
        if (is_first()) throw;
        return kFailed;
    } catch (const Diverged&) {
        if (is_first()) throw;
        return kFailed;
    } catch (const OthersError&) { return kFailed; } catch (const std::exception& error) {
        fmt::print(stderr, "moegrad: rank {}: {}\n", rank(), error.what());
        transport_->abandon(kFailed);
    }
    return kFailed;
}

}  // namespace apps
