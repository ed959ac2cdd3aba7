#pragma once
// A sweep file, solved: every row at every size and budget with its width, its plan and the folders of its runs.
#include "apps/plan.h"
#include "apps/run_folder.h"
#include "apps/sweep_file.h"
#include "data/token_store.h"

#include <functional>

namespace apps {

struct SweepSide {
    const SweepRow* row = nullptr;
    std::string size;
    double budget = 0;  // training FLOPs; 0: the configuration's steps
    Config config;      // with width and steps; seed and rate are a run's
    Size vocab = 0;
    Plan plan;
    Size width = 0;         // of row->solve
    double difference = 0;  // percent from the reference, in what is matched

    // "sigma-moe", "small/sigma-moe", "small/flops-1e+15/sigma-moe"; the folder below SweepFile::out.
    std::string name() const;
    Config config_of(Size seed, double rate) const;
    RunFolder folder_of(const fs::path& out, Size seed, double rate) const;
};

// The store at a data.path.
using OpenStore = std::function<const data::TokenStore&(const std::string& path)>;

// Solves and checks everything, and writes nothing. Throws for what cannot be built, does not match, does not fit its data, or contradicts
// the runs that are there.
std::vector<SweepSide> solve_sweep(const SweepFile& sweep, const OpenStore& open);

// What solve_sweep found, as a table.
std::string grid_text(const std::vector<SweepSide>& sides);

}  // namespace apps
