#pragma once
// What the runs of a sweep have reached, read from their folders: nothing is remembered anywhere else.
#include "apps/report_run.h"
#include "apps/sweep_grid.h"

#include <nlohmann/json.hpp>
#include <optional>

namespace apps {

struct SweepRun {
    RunFolder folder;
    Size seed = 0;
    double rate = 0;
    std::int64_t step = 0, steps = 0;
    bool diverged = false;
    double valid = 0, test = 0;  // bits per byte at the last step; NaN: not evaluated
    std::optional<RunReport> report;

    bool trained() const { return diverged || step >= steps; }
};

struct SweepResult {
    std::vector<SweepRun> tried;  // a learning rate each, with the first seed
    std::optional<double> rate;   // the best of them on valid text, when all are trained and evaluated and one did not diverge
    std::vector<SweepRun> kept;   // a seed each, with that rate
};

// "missing", "partial", "trained", "finished" (evaluated, too), "diverged"
std::string state_of(const SweepRun& run);
SweepRun read_sweep_run(const SweepSide& side, const fs::path& out, Size seed, double rate);
SweepResult read_result(const SweepSide& side, const fs::path& out);

// The last member of the run's folder that a diverged run gets: it would end the same way again.
fs::path diverged_file(const RunFolder& folder);

// sweep.json.
nlohmann::ordered_json sweep_document(const SweepFile& sweep, const std::vector<SweepSide>& sides, const std::vector<SweepResult>& results);
// The same for a terminal.
std::string sweep_table(const std::vector<SweepSide>& sides, const std::vector<SweepResult>& results);
// Median over the log intervals of a run; NaN for one without.
double seconds_per_step(const RunReport& run);

}  // namespace apps
