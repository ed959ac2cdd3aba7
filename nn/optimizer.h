#pragma once
#include "engine/kernels/adamw.h"
#include "nn/gradient_norm.h"

#include <map>
#include <string>
#include <vector>

namespace nn {

struct OptimizerOptions {
    double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
    double clip = 0;                            // global gradient norm; 0: no clipping
    std::map<std::string, double> lr_scale;     // part of a parameter → factor on the learning rate
    std::map<std::string, double> decay_scale;  // the same on weight_decay
    bool touched_rows = false;                  // tables of cells: rows without a gradient stay as they are, with their moments
};

// AdamW (Loshchilov & Hutter 2019, algorithm 2) over the flat buffers, after clipping by the global norm. Nothing waits for the device:
// rate, corrections and clip factor stand in device memory.
class Optimizer {
  public:
    Optimizer(engine::Exec& exec, const ParameterStore& store, const OptimizerOptions& options);

    // Puts the step's scalars into device memory; exec.scalars points there from now on.
    void begin(engine::Exec& exec, std::uint64_t seed, std::int64_t step, double learning_rate);
    void update(engine::Exec& exec, ParameterStore& store);
    // What each rank of a cut must know of pass_gradient(): what it updates, the whole blocks of the norm that begin there, the whole rows
    // of tables in it, and further uses' gradients of all that. Equally many ranges for every rank.
    std::vector<std::vector<ParameterStore::Range>> needed_gradients(const ParameterStore& store) const;
    // Of the last update, before clipping. Waits for the device.
    double gradient_norm(engine::Exec& exec) const { return norm_.read(exec); }

  private:
    // Neighbours in the flat buffers with one rate and decay; or a table whose touched rows are updated.
    struct Group {
        ParameterStore::Range range;
        double lr_factor, decay;
        const ParameterStore::Place* table;
        int sharers;
    };
    engine::kernels::AdamwOptions kernel_options(const Group& group) const;
    void update_group(engine::Exec& exec, ParameterStore& store, const Group& group) const;
    // This rank's elements of a table of which touched rows are updated.
    void update_table(engine::Exec& exec, ParameterStore& store, const Group& group, const ParameterStore::Range& own) const;

    OptimizerOptions options_;
    std::vector<Group> groups_;
    GradientNorm norm_;
    Tensor scalars_;  // bytes of a StepScalars
};

}  // namespace nn
