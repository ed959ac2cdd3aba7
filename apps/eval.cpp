#include "apps/command.h"
#include "apps/evaluate.h"
#include "apps/evaluation_record.h"
#include "apps/loaded_run.h"
#include "apps/option_checks.h"
#include "engine/base/error.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <iostream>
#include <memory>

namespace apps {
namespace {

struct EvalArguments {
    RunArguments run;
    std::string data, split = "test", protocol = "all";
    OptionalSize memory, streams;
    bool as_json = false;
};

// Where nothing differs from what the run itself evaluates, its folder keeps the result.
void keep(const EvalArguments& arguments, const LoadedRun& run, const Evaluation& result) {
    if (!arguments.data.empty() || arguments.memory || arguments.streams || arguments.protocol != "all") return;
    try {
        record_evaluation(run.folder, run.step, result);
    } catch (const engine::Error& error) { fmt::print(stderr, "not kept in metrics.jsonl: {}\n", error.what()); }
}

int run_eval(const EvalArguments& arguments) {
    LoadedRun run(arguments.run);
    data::TokenStore store(arguments.data.empty() ? run.config.data.path : arguments.data);
    engine::expect(store.vocab() <= run.vocab, "eval", "the data have more token kinds than the model: got {}, expected at most {}",
                   store.vocab(), run.vocab);
    EvaluationOptions options = evaluation_options(run.config);
    if (arguments.memory) options.memory = *arguments.memory;
    if (arguments.streams) options.streams = *arguments.streams;
    if (arguments.protocol == "paper") options.protocol = data::Protocol::paper;
    Evaluation result = evaluate(run.exec, *run.model, store, arguments.split, options);
    keep(arguments, run, result);
    if (arguments.as_json) {
        std::cout << evaluation_json(result).dump(2) << std::endl;
        return kDone;
    }
    std::cout << fmt::format("{}  step {}  {}\n", run.folder.name(), run.step, result.split)
              << fmt::format("bits per byte         {:.4f}\n", result.bits_per_byte())
              << fmt::format("nats per token        {:.4f}\n", result.nats_per_token())
              << fmt::format("perplexity per token  {:.3f}\n", std::exp(result.nats_per_token()));
    if (result.words > 0) std::cout << fmt::format("perplexity per word   {:.2f}\n", result.perplexity_per_word());
    std::cout << fmt::format("tokens                {}\nbytes                 {}\n", result.tokens, result.bytes) << std::flush;
    return kDone;
}

}  // namespace

std::function<int()> add_eval(CLI::App& app) {
    auto arguments = std::make_shared<EvalArguments>();
    add_run_arguments(app, arguments->run);
    app.add_option("--data", arguments->data, "folder made by moegrad prepare (default: the run's)");
    app.add_option("--split", arguments->split, "train, valid or test")->check(CLI::IsMember({"train", "valid", "test"}));
    app.add_option("--protocol", arguments->protocol, "all: every token; paper: windows that do not fill all streams are dropped")
        ->check(CLI::IsMember({"all", "paper"}));
    app.add_option("--memory", arguments->memory, "over eval.memory")->check(not_negative());
    app.add_option("--streams", arguments->streams, "over eval.streams")->check(positive());
    app.add_flag("--json", arguments->as_json, "print one JSON document");
    return [arguments] { return run_eval(*arguments); };
}

}  // namespace apps
