#pragma once
// What a file of `moegrad sweep` asks for. sweep_help() tells its keys.
#include "apps/config.h"

#include <filesystem>
#include <string>
#include <vector>

namespace apps {

enum class Match { none, parameters, flops };

struct SweepRow {
    std::string name;
    Match match = Match::none;
    std::string reference;  // the row whose amount this one is brought to; empty for Match::none
    std::string solve;      // the key that is turned: "ffn.expert_size"; empty for Match::none
    Size multiple = 1;      // its width is one of
    double tolerance = 2;   // percent that may remain
    std::vector<Size> seeds;
    std::vector<double> rates;
    std::vector<Config> configs;  // one a size; the key that is turned is still missing
};

struct SweepFile {
    std::filesystem::path path, out;
    std::vector<std::string> sizes;  // a nameless one where the file has none
    std::vector<double> budgets;     // training FLOPs of a run; {0}: the configuration's steps
    std::vector<SweepRow> rows;
};

// Throws engine::Error for anything wrong in the file; unknown keys with the nearest name.
SweepFile load_sweep(const std::filesystem::path& path);
// A line a key, for --help.
std::string sweep_help();

}  // namespace apps
