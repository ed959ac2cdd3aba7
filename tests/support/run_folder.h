#pragma once
// Writes folders that look like runs, for tests of what reads them: a falling loss, evaluations, usage of experts, a plan, samples.
#include "apps/report_run.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace tests {

struct RunFolder {
    std::string method = "sigma-moe";
    std::int64_t records = 200, log_every = 10, eval_every = 200;
    std::int64_t tokens_per_step = 4096;
    double tokens_per_second = 20000;
    double final_loss = 1.2, first_loss = 5.4;  // nats per token, byte level
    std::int64_t layers = 4, experts = 16;      // layers = 0: no moe.jsonl
    double unevenness = 0.5;
    std::int64_t parameters = 4'000'000, active_parameters = 1'600'000, forward_flops = 3'200'000;  // parameters = 0: no plan.json
    std::vector<std::string> notes;
    std::vector<std::string> samples;
    bool test_split = true;
    std::uint32_t seed = 1;

    void write(const std::filesystem::path& folder) const;
};

// Writes it and reads it as `compare` does.
apps::RunReport read_back(const RunFolder& run, const std::filesystem::path& folder);

}  // namespace tests
