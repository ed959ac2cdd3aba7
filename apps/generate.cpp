#include "apps/byte_progress.h"
#include "apps/command.h"
#include "apps/elapsed.h"
#include "apps/expert_colours.h"
#include "apps/generation.h"
#include "apps/loaded_run.h"
#include "apps/model_factory.h"
#include "apps/option_checks.h"
#include "apps/progress.h"
#include "data/tokenizer.h"
#include "engine/base/error.h"
#include "engine/memory/pool.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include <unistd.h>

namespace apps {
namespace {

using Clock = std::chrono::steady_clock;

struct GenerateArguments {
    RunArguments run;
    std::string prompt, data;
    bool has_prompt = false, show_experts = false, as_json = false;
    Size max_tokens = 256;
    SamplingOptions sampling{.temperature = 0.8};
    int layer = -1;
};

// Speed of one answer, on stderr, where it does not mix with the text.
void print_speed(const LoadedRun& run, std::size_t read, double reading, std::size_t written, double writing) {
    fmt::print(stderr, "prompt {} tokens, {} tok/s; generation {} tokens, {} tok/s; peak memory {}\n", read,
               count_text(static_cast<double>(read) / std::max(1e-9, reading)), written,
               count_text(static_cast<double>(written) / std::max(1e-9, writing)),
               bytes_text(static_cast<double>(run.exec.pool->peak_bytes())));
}

void answer(LoadedRun& run, const data::Tokenizer& tokenizer, Generator& generator, const GenerateArguments& arguments,
            const std::string& prompt) {
    std::vector<std::int32_t> ids = tokenizer.encode(prompt);
    engine::expect(!ids.empty(), "generate", "the prompt has no tokens; hint: give at least one character with --prompt");
    Clock::time_point begin = Clock::now();
    generator.read(ids);
    double reading = seconds_since(begin);
    std::vector<TokenExperts> experts = generator.experts();
    std::unique_ptr<ExpertColours> colours;
    if (arguments.show_experts) colours = std::make_unique<ExpertColours>(experts, arguments.layer, isatty(STDOUT_FILENO) != 0);
    auto show = [&](std::int32_t id, const TokenExperts& chosen) {
        std::string text = tokenizer.decode(std::vector<std::int32_t>{id});
        std::cout << (colours ? colours->token(text, chosen) : text) << std::flush;
    };
    if (!arguments.as_json) {
        for (std::size_t i = 0; i < ids.size(); ++i) show(ids[i], experts[i]);
    }
    std::vector<std::int32_t> answer_ids;
    begin = Clock::now();
    for (Size i = 0; i < arguments.max_tokens; ++i) {
        std::int32_t id = generator.next(arguments.sampling);
        answer_ids.push_back(id);
        if (arguments.show_experts) experts.push_back(generator.experts().front());
        if (!arguments.as_json) show(id, generator.experts().front());
    }
    double writing = seconds_since(begin);
    if (arguments.as_json) {
        nlohmann::ordered_json json{{"ids", answer_ids}, {"text", tokenizer.decode(answer_ids)}};
        if (arguments.show_experts) json["experts"] = experts;
        std::cout << json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
    } else {
        std::cout << "\n" << (colours ? colours->legend() : "") << std::flush;
    }
    print_speed(run, ids.size(), reading, answer_ids.size(), writing);
    if (generator.slides() > 0) {
        fmt::print(stderr, "the context of {} tokens was full {} times: each time the answer went on from the last half of it\n",
                   context_of(run.config), generator.slides());
    }
}

int run_generate(const GenerateArguments& arguments) {
    LoadedRun run(arguments.run);
    std::unique_ptr<data::Tokenizer> tokenizer = run.tokenizer();
    auto generator = [&] { return Generator(run.exec, *run.model, evaluation_memory(run.config), context_of(run.config)); };
    if (arguments.has_prompt || isatty(STDIN_FILENO) == 0) {
        std::string prompt = arguments.prompt;
        if (!arguments.has_prompt) prompt.assign(std::istreambuf_iterator<char>(std::cin), {});
        Generator once = generator();
        answer(run, *tokenizer, once, arguments, prompt);
        return kDone;
    }
    // A line, an answer, until the end of the input. What was said stays in memory.
    Generator talk = generator();
    for (std::string line; std::cerr << "> " << std::flush, std::getline(std::cin, line);) {
        if (!line.empty()) answer(run, *tokenizer, talk, arguments, line);
    }
    std::cerr << std::endl;
    return kDone;
}

}  // namespace

std::function<int()> add_generate(CLI::App& app) {
    auto arguments = std::make_shared<GenerateArguments>();
    add_run_arguments(app, arguments->run);
    app.add_option_function<std::string>(
        "--prompt", [arguments](const std::string& text) { arguments->prompt = text, arguments->has_prompt = true; },
        "the text to go on from (default: stdin, or a line at a time on a terminal)");
    app.add_option("--max-tokens", arguments->max_tokens, "tokens to write")->capture_default_str()->check(not_negative());
    app.add_option("--temperature", arguments->sampling.temperature, "0: always the likeliest")
        ->capture_default_str()
        ->check(not_negative());
    app.add_option("--top-k", arguments->sampling.top_k, "among the k likeliest; 0: all")->check(not_negative());
    app.add_option("--top-p", arguments->sampling.top_p, "among the likeliest with this probability")->check(between(0.0, 1.0));
    app.add_option("--seed", arguments->sampling.seed, "of the draws");
    app.add_flag("--show-experts", arguments->show_experts, "colour each token by its first expert");
    app.add_option("--layer", arguments->layer, "whose experts (default: the middle one that chooses)");
    app.add_flag("--json", arguments->as_json, "print one JSON document: ids, text");
    return [arguments] { return run_generate(*arguments); };
}

}  // namespace apps
