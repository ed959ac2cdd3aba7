#pragma once
#include "apps/config.h"
#include "apps/run_folder.h"
#include "apps/runtime.h"
#include "data/tokenizer.h"
#include "nn/language_model.h"
#include "nn/parameter_store.h"

#include <cstdint>
#include <memory>
#include <string>

namespace CLI {
class App;
}

namespace apps {

// Which run, and where to run it.
struct RunArguments {
    std::string run;
    std::string device;  // empty: the run's own
    Size threads = 0;
};
// RUN, --device, --threads
void add_run_arguments(CLI::App& app, RunArguments& arguments);

// A trained model, ready for evaluation: weights of the run's latest checkpoint.
struct LoadedRun {
    explicit LoadedRun(const RunArguments& arguments);

    // As the run's folder keeps it.
    std::unique_ptr<data::Tokenizer> tokenizer() const;

    RunFolder folder;
    Config config;
    std::int64_t step = 0;
    Size vocab = 0;
    Runtime runtime;
    engine::Exec exec;
    std::unique_ptr<nn::LanguageModel> model;
    std::unique_ptr<nn::ParameterStore> parameters;
};

}  // namespace apps
