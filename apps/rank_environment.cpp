#include "apps/rank_environment.h"

#include "apps/rank_meeting.h"
#include "engine/base/error.h"
#include "nn/options.h"

#include <charconv>
#include <climits>
#include <cstdlib>

namespace apps {

using engine::expect;

namespace {

struct Launcher {
    const char *name, *rank, *size;
    const char* also;  // must be there as well
    const char* local_rank;
};

// A batch script of Slurm's has a rank and a size, too, but no step: it is no rank itself.
constexpr Launcher kLaunchers[] = {
    {"torchrun", "RANK", "WORLD_SIZE", nullptr, "LOCAL_RANK"},
    {"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", nullptr, "OMPI_COMM_WORLD_LOCAL_RANK"},
    {"Slurm", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_ID", "SLURM_LOCALID"},
    {"PMI", "PMI_RANK", "PMI_SIZE", nullptr, "MPI_LOCALRANKID"},
    {"MVAPICH", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", nullptr, "MV2_COMM_WORLD_LOCAL_RANK"},
};
constexpr const char *kOwn = "--rank", *kTorchrun = "torchrun", *kOpenMpi = "Open MPI", *kSlurm = "Slurm";

constexpr int kMostRanks = 1 << 20;

template <class N>
N number(const std::string& name, const std::string& text, N least, N most) {
    N value = -1;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    expect(error == std::errc() && end == text.data() + text.size() && value >= least && value <= most, "ranks",
           "{} is no such number: got {}, expected {} to {}; hint: unset it if no launcher set it", name, nn::option_text(text), least,
           most);
    return value;
}

std::optional<RankEnvironment> of_options(const RankOptions& options) {
    bool any = options.rank || options.world || !options.init.empty() || options.local_rank;
    bool all = options.rank && options.world && !options.init.empty();
    if (any && !all) {
        throw engine::UsageError(
            "[usage] --rank, --world and --init belong together, --local-rank to them; hint: give all three, or start "
            "with a launcher and give none");
    }
    if (!any) return {};
    if (*options.world < 1 || *options.world > kMostRanks || *options.rank < 0 || *options.rank >= *options.world) {
        throw engine::UsageError(
            fmt::format("[usage] there is no such rank: got --rank {} of --world {}, expected --rank from 0 to one below --world",
                        *options.rank, *options.world));
    }
    return RankEnvironment{.rank = *options.rank,
                           .size = *options.world,
                           .local_rank = options.local_rank,
                           .launcher = kOwn,
                           .meeting = meeting_at(options.init),
                           .hint = {}};
}

std::optional<RankEnvironment> of_launcher(const Variables& variables, const Launcher& launcher) {
    std::optional<std::string> rank = variables(launcher.rank), size = variables(launcher.size), local = variables(launcher.local_rank);
    if (!rank || !size || (launcher.also != nullptr && !variables(launcher.also))) return {};
    RankEnvironment own{.local_rank = {}, .launcher = launcher.name, .meeting = {}, .hint = {}};
    own.size = number(launcher.size, *size, 1, kMostRanks);
    own.rank = number(launcher.rank, *rank, 0, own.size - 1);
    if (local) own.local_rank = number(launcher.local_rank, *local, 0, own.size - 1);
    return own;
}

void check_agree(const RankEnvironment& found, const RankEnvironment& own) {
    bool daemons = found.launcher == kOpenMpi && own.launcher == kSlurm;
    expect(found.size == own.size && (found.rank == own.rank || daemons), "ranks",
           "two launchers disagree: {} says rank {} of {}, {} says rank {} of {}; hint: start with one of them, or unset the other's "
           "variables",
           found.launcher, found.rank, found.size, own.launcher, own.rank, own.size);
}

void meet_by_torchrun(RankEnvironment& found, const Variables& variables) {
    std::optional<std::string> host = variables("MASTER_ADDR"), port = variables("MASTER_PORT");
    if (!host || !port) {
        found.hint = "MASTER_ADDR and MASTER_PORT say where rank 0 listens";
        return;
    }
    engine::TcpMeeting meeting{.host = *host, .port = number("MASTER_PORT", *port, 1, 65535), .token = {}, .folder = {}};
    if (variables("TORCHELASTIC_USE_AGENT_STORE").value_or("") == "True") meeting.port += meeting.port < 65535 ? 1 : -1;
    meeting.token =
        fmt::format("{} {}", variables("TORCHELASTIC_RUN_ID").value_or(""), variables("TORCHELASTIC_RESTART_COUNT").value_or("0"));
    found.meeting = meeting;
}

void meet_by_slurm(RankEnvironment& found, const Variables& variables) {
    std::optional<std::string> nodes = variables("SLURM_STEP_NODELIST"), job = variables("SLURM_JOB_ID");
    if (!nodes) nodes = variables("SLURM_JOB_NODELIST");
    if (!nodes || !job) {
        found.hint = "SLURM_JOB_ID and SLURM_JOB_NODELIST say where rank 0 listens";
        return;
    }
    long long step = number("SLURM_STEP_ID", *variables("SLURM_STEP_ID"), 0LL, LLONG_MAX);
    std::string restart = variables("SLURM_RESTART_COUNT").value_or("0");
    found.meeting = engine::TcpMeeting{.host = first_slurm_host(*nodes),
                                       .port = port_of_job(number("SLURM_JOB_ID", *job, 0LL, LLONG_MAX), step),
                                       .token = fmt::format("slurm {}.{} {}", *job, step, restart),
                                       .folder = {}};
}

}  // namespace

RankEnvironment rank_environment(const Variables& variables, const RankOptions& options, bool has_mpi) {
    std::optional<RankEnvironment> found = of_options(options);
    // mpirun and srun --mpi=… have made ready what MPI needs.
    bool mpi_is_ready =
        variables("OMPI_COMM_WORLD_RANK") || variables("PMIX_RANK") || variables("PMI_RANK") || variables("MV2_COMM_WORLD_RANK");
    for (const Launcher& launcher : kLaunchers) {
        std::optional<RankEnvironment> own = of_launcher(variables, launcher);
        if (!own) continue;
        if (found) check_agree(*found, *own);
        if (!found) found = own;
    }
    if (!found) return {};
    if (found->launcher == kTorchrun) meet_by_torchrun(*found, variables);
    found->by_mpi = !found->meeting && mpi_is_ready && has_mpi;
    if (found->launcher == kSlurm && !found->by_mpi) meet_by_slurm(*found, variables);
    if (found->hint.empty())
        found->hint = "this program was built without MPI (tools/install ranks); --rank, --world and --init do without";
    std::optional<std::string> token = variables("MOEGRAD_JOB_TOKEN");
    if (found->meeting && token) found->meeting->token = *token;
    if (found->meeting) {
        found->meeting->rank = found->rank;
        found->meeting->size = found->size;
    }
    return *found;
}

RankEnvironment rank_environment(const RankOptions& options) {
    auto variables = [](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
    };
    return rank_environment(variables, options, engine::mpi_is_built());
}

}  // namespace apps
