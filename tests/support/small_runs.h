#pragma once
// Small training runs as a user would start them.
#include "tests/support/running_program.h"

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace tests {

// A folder with a store of a few kilobytes of English, "data", and a configuration, "run.toml", of a small model with everything that a
// resume must bring back: dropout, expert dropout, balance, memory, evaluations, checkpoints.
class SmallRuns {
  public:
    SmallRuns();
    // Puts other lines in place of the configuration's [model] and [ffn].
    void set_model(const std::string& lines) const;
    // Puts other lines into the configuration's [ffn].
    void set_feed_forward(const std::string& lines) const;
    // `train` into `out` with more --set assignments.
    Arguments train(const std::string& out, const Arguments& settings = {}) const;
    std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }

  private:
    // From this section on, up to [train].
    void replace(const std::string& section, const std::string& lines) const;

    TemporaryFolder folder_;
};

// metrics.jsonl without timings.
std::vector<nlohmann::json> metrics_of(const std::filesystem::path& run);
// Every tensor of a checkpoint, as "model.safetensors NAME" or "optimizer NAME", however many ranks wrote it.
std::map<std::string, std::vector<double>> tensors_of(const std::filesystem::path& checkpoint);

// Equal metrics, and equal bits in the checkpoints of `step`.
void check_equal_runs(const std::filesystem::path& a, const std::filesystem::path& b, int step = 12);
// A run that stops at some steps and goes on, and runs on 2 and 4 virtual ranks, equal the one that does neither, "whole".
void check_stops_and_ranks(const SmallRuns& runs, const Arguments& settings = {}, const Arguments& stops = {"--stop-at=5"});

}  // namespace tests
