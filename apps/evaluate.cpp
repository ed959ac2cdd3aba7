#include "apps/evaluate.h"

#include "apps/generation.h"
#include "apps/model_factory.h"
#include "engine/base/error.h"
#include "engine/tensor/transfer.h"

#include <cmath>
#include <numbers>

namespace apps {

using namespace engine;

EvaluationOptions evaluation_options(const Config& config) {
    return {.context = context_of(config), .memory = evaluation_memory(config), .streams = config.eval.streams};
}

EvaluationOptions fitted(EvaluationOptions options, const nn::LanguageModel& model) {
    if (model.most_positions() == 0) return options;
    options.memory = std::max(options.memory, model.prefix());
    expect(options.memory < options.context, "eval",
           "what is remembered must be less than the context, of which it is a part: got memory = {}, context = {}; hint: eval.memory = {}",
           options.memory, options.context, std::max(model.prefix(), options.context / 2));
    options.context -= options.memory;
    return options;
}

double Evaluation::nats_per_token() const { return nats / static_cast<double>(tokens); }
double Evaluation::perplexity_per_word() const { return std::exp(nats / static_cast<double>(words)); }
double Evaluation::bits_per_byte() const { return nats / std::numbers::ln2 / static_cast<double>(bytes); }

Evaluation evaluate(Exec& exec, nn::LanguageModel& model, const data::TokenStore& store, const std::string& split,
                    const EvaluationOptions& options) {
    const data::Split& text = store.split(split);
    EvaluationOptions fit = fitted(options, model);
    nn::ModelMemory memory{.limit = fit.memory};
    data::EvaluationStreams streams(text, store.tokenizer(), fit.streams, fit.context, fit.protocol);
    Evaluation result{.split = split, .bytes = streams.bytes(), .words = options.protocol == data::Protocol::whole ? text.words() : 0};
    for (std::int64_t step = 0; step < streams.windows(); ++step) {
        data::Window window = streams.at(step);
        Shape shape{window.rows, window.columns};
        nn::EvaluationSums sums = nn::evaluate_window(exec, model, from_host(exec, shape, Dtype::i32, window.ids),
                                                      from_host(exec, shape, Dtype::i32, window.targets), memory);
        result.nats += sums.nats;
        result.tokens += sums.tokens;
    }
    return result;
}

nlohmann::ordered_json evaluation_json(const Evaluation& evaluation) {
    nlohmann::json word = evaluation.words > 0 ? nlohmann::json(evaluation.perplexity_per_word()) : nlohmann::json();
    return {{"split", evaluation.split},
            {"nats_per_token", evaluation.nats_per_token()},
            {"bits_per_byte", evaluation.bits_per_byte()},
            {"perplexity", std::exp(evaluation.nats_per_token())},
            {"perplexity_per_word", word},
            {"tokens", evaluation.tokens},
            {"bytes", evaluation.bytes}};
}

std::string sample_text(Exec& exec, nn::LanguageModel& model, const data::TokenStore& store, const Config& config) {
    constexpr std::int64_t kPromptTokens = 64, kSampleTokens = 192;
    const data::Split& split = store.split("valid");
    std::int64_t wanted = std::max(kPromptTokens, model.prefix());
    std::vector<std::int32_t> prompt(static_cast<std::size_t>(std::min(wanted, split.tokens())));
    if (prompt.empty() || split.tokens() < model.prefix() || !model.refuses_decoding().empty()) return "";
    split.read(0, static_cast<std::int64_t>(prompt.size()), prompt.data());
    Exec alone = exec;
    alone.communicator = nullptr;
    alone.shards = {};
    Generator generator(alone, model, evaluation_memory(config), context_of(config));
    generator.read(prompt);
    std::vector<std::int32_t> written;
    for (std::int64_t i = 0; i < kSampleTokens; ++i) written.push_back(generator.next({.temperature = 0.8, .seed = 1}));
    return store.tokenizer().decode(prompt) + store.tokenizer().decode(written) + "\n";
}

}  // namespace apps
