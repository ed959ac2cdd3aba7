#include "apps/loaded_run.h"

#include "apps/checkpoint.h"
#include "apps/model_factory.h"
#include "apps/option_checks.h"
#include "engine/base/error.h"
#include "engine/io/atomic_file.h"
#include "engine/io/safetensors.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace apps {

using engine::expect;

namespace {

RunFolder opened(const std::string& path) {
    RunFolder folder(path);
    expect(folder.holds_run(), "run", "no run here: {} is missing; hint: give a folder that `moegrad train` made",
           folder.config().string());
    return folder;
}

std::int64_t latest_of(const RunFolder& folder) {
    std::optional<std::int64_t> step = folder.latest();
    expect(step.has_value(), "run", "{} has no checkpoint yet; hint: train.save_every, or let the run end", folder.path().string());
    return *step;
}

}  // namespace

void add_run_arguments(CLI::App& app, RunArguments& arguments) {
    app.add_option("RUN", arguments.run, "a run's folder")->required();
    app.add_option("--device", arguments.device, "cpu, simt, cuda or cuda:N (default: the run's)");
    app.add_option("--threads", arguments.threads, "0: one a core")->check(not_negative());
}

LoadedRun::LoadedRun(const RunArguments& arguments)
    : folder(opened(arguments.run)),
      config(load_config(folder.config())),
      step(latest_of(folder)),
      runtime(arguments.device.empty() ? config.train.device : arguments.device,
              arguments.threads > 0 ? arguments.threads : config.train.threads),
      exec(runtime.exec()) {
    fs::path checkpoint = folder.checkpoint(step);
    read_state(exec, checkpoint);
    vocab = engine::io::SafetensorsFile::open(checkpoint / "model.safetensors").shape("embedding.w")[0];
    model = make_model(config, vocab);
    parameters = std::make_unique<nn::ParameterStore>(exec, *model, dtype_named(config.train.dtype), config.top.seed, false,
                                                      nn::ParameterStore::Values::loaded);
    load_weights(exec, checkpoint, *parameters);
}

std::unique_ptr<data::Tokenizer> LoadedRun::tokenizer() const {
    fs::path file = folder.tokenizer();
    nlohmann::json description = nlohmann::json::parse(engine::io::read_file(file), nullptr, false);
    return data::load_tokenizer(description, folder.path(), file.string());
}

}  // namespace apps
