#include "apps/rank_environment.h"

#include "engine/base/error.h"
#include "nn/options.h"

#include <charconv>
#include <cstdlib>

namespace apps {

using engine::expect;

namespace {

struct Launcher {
    const char *name, *rank, *size;
    const char* also;  // must be there as well
};

// A batch script of Slurm's has a rank and a size, too, but no step: it is no rank itself.
constexpr Launcher kLaunchers[] = {
    {"torchrun", "RANK", "WORLD_SIZE", nullptr},
    {"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", nullptr},
    {"Slurm", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_ID"},
    {"PMI", "PMI_RANK", "PMI_SIZE", nullptr},
    {"MVAPICH", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", nullptr},
};

constexpr int kMostRanks = 1 << 20;

int number(const std::string& name, const std::string& text, int least, int most) {
    int value = -1;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    expect(error == std::errc() && end == text.data() + text.size() && value >= least && value <= most, "ranks",
           "{} is no such number: got {}, expected {} to {}; hint: unset it if no launcher set it", name, nn::option_text(text), least,
           most);
    return value;
}

}  // namespace

RankEnvironment rank_environment(const Variables& variables) {
    RankEnvironment found;
    for (const Launcher& launcher : kLaunchers) {
        std::optional<std::string> rank = variables(launcher.rank), size = variables(launcher.size);
        if (!rank || !size || (launcher.also != nullptr && !variables(launcher.also))) continue;
        RankEnvironment own{.launcher = launcher.name};
        own.size = number(launcher.size, *size, 1, kMostRanks);
        own.rank = number(launcher.rank, *rank, 0, own.size - 1);
        bool daemons = found.launcher == "Open MPI" && own.launcher == "Slurm";
        expect(
            found.launcher.empty() || (found.size == own.size && (found.rank == own.rank || daemons)), "ranks",
            "two launchers disagree: {} says rank {} of {}, {} says rank {} of {}; hint: start with one of them, or unset the other's {} "
            "and {}",
            found.launcher, found.rank, found.size, own.launcher, own.rank, own.size, launcher.rank, launcher.size);
        if (found.launcher.empty()) found = own;
    }
    return found;
}

RankEnvironment rank_environment() {
    return rank_environment([](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
    });
}

}  // namespace apps
