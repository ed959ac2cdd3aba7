#pragma once
#include "engine/io/safetensors.h"
#include "nn/language_model.h"
#include "nn/parameter_store.h"

#include <filesystem>
#include <string>
#include <vector>

namespace apps {

// optimizer-RANK-of-N.safetensors: what a checkpoint holds beside values, written by N ranks, read by any number. Rank r's file has
// `moment1.NAME` and `moment2.NAME` of its part of the flat buffers (nn::ParameterStore::range_of), whether or not the optimizer's state is
// cut, and `memory.PASS.LAYER` of its own sequences. Pieces end to end in rank order are the whole: of a moment in row-major order (a
// piece that is the whole has its shape), of a memory by sequences. A moment's pieces with all rows of a table but fewer columns stand side
// by side.
std::filesystem::path optimizer_file(const std::filesystem::path& checkpoint, int rank, int ranks);

// This rank's file. `memories`: one a pass, this rank's sequences.
void write_optimizer_file(engine::Exec& exec, const std::filesystem::path& path, const nn::ParameterStore& store,
                          const std::vector<nn::ModelMemory>& memories);

// All files of a checkpoint, opened.
class OptimizerFiles {
  public:
    explicit OptimizerFiles(const std::filesystem::path& checkpoint);

    // What of the moments this rank holds.
    void load_moments(engine::Exec& exec, const nn::ParameterStore& store) const;
    // The memories of this rank's sequences, its share of exec.shards.total of each memory.
    void load_memories(engine::Exec& exec, engine::Dtype dtype, std::vector<nn::ModelMemory>& memories) const;

  private:
    void load_moment(engine::Exec& exec, const std::string& name, const nn::ParameterStore& store, const nn::ParameterStore::Place& place,
                     const engine::Tensor& moments) const;
    engine::Tensor memory(engine::Exec& exec, const std::string& name, engine::Dtype dtype) const;

    std::vector<engine::io::SafetensorsFile> files_;
};

}  // namespace apps
