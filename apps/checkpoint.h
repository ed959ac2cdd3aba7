#pragma once
#include "nn/language_model.h"
#include "nn/parameter_store.h"

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace apps {

// What goes on where a run stopped, beside tensors.
struct TrainingState {
    std::int64_t step = 0;    // steps done
    std::int64_t tokens = 0;  // tokens trained on
    double seconds = 0;       // spent training
    std::int64_t schedule_steps = 0;
    std::string data;  // fingerprint of the tokens
};

// The whole run at a step, as a folder that appears at once: model.safetensors (master weights and states), optimizer-0-of-1.safetensors
// (moments, and the memory of every pass and layer), state.json, manifest.json. Every rank calls it; the first writes.
// `memories`: one a pass, this rank's sequences.
void save_checkpoint(engine::Exec& exec, const std::filesystem::path& folder, const nn::ParameterStore& store,
                     const std::vector<nn::ModelMemory>& memories, const TrainingState& state);

// Checks the manifest, then state.json.
TrainingState read_state(const std::filesystem::path& checkpoint);
// Weights and states, by name; a missing, extra or differently shaped tensor throws.
void load_weights(engine::Exec& exec, const std::filesystem::path& checkpoint, nn::ParameterStore& store);
// Moments, and this rank's part of the memories. `rank` of `ranks` holds rows [rank·B/ranks, …) of each memory.
void load_progress(engine::Exec& exec, const std::filesystem::path& checkpoint, nn::ParameterStore& store,
                   std::vector<nn::ModelMemory>& memories, int rank, int ranks);
// Takes what has the same name and shape; returns a line about what was taken and what stayed fresh.
std::string load_matching_weights(engine::Exec& exec, const std::filesystem::path& checkpoint, nn::ParameterStore& store);

}  // namespace apps
