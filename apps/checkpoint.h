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

// The whole run at a step, as a folder that appears at once: model.safetensors (master weights and states, whole), a file of moments and
// memories from every rank (optimizer_files.h), state.json, manifest.json. Every rank calls it; what fails on one fails on all.
// `memories`: one a pass, this rank's sequences.
void save_checkpoint(engine::Exec& exec, const std::filesystem::path& folder, const nn::ParameterStore& store,
                     const std::vector<nn::ModelMemory>& memories, const TrainingState& state);

// Checks the manifest on the first rank, then reads state.json. Every rank calls it; where the manifest is wrong all throw.
TrainingState read_state(engine::Exec& exec, const std::filesystem::path& checkpoint);
// Weights and states, by name; a missing, extra or differently shaped tensor throws. Every rank calls it.
void load_weights(engine::Exec& exec, const std::filesystem::path& checkpoint, nn::ParameterStore& store);
// Moments, and this rank's part of the memories, from however many ranks wrote them.
void load_progress(engine::Exec& exec, const std::filesystem::path& checkpoint, nn::ParameterStore& store,
                   std::vector<nn::ModelMemory>& memories);
// Takes what has the same name and shape; returns a line about what was taken and what stayed fresh. Every rank calls it.
std::string load_matching_weights(engine::Exec& exec, const std::filesystem::path& checkpoint, nn::ParameterStore& store);

}  // namespace apps
