#pragma once
#include "apps/config.h"
#include "data/streams.h"
#include "nn/evaluation.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace apps {

struct EvaluationOptions {
    Size context = 1;  // positions of a window
    Size memory = 0;   // positions remembered; of a model of fixed context: read again, out of the window's
    Size streams = 1;  // parts of the text read side by side
    data::Protocol protocol = data::Protocol::whole;
};
EvaluationOptions evaluation_options(const Config& config);
// Windows and memory as a model of fixed context has room for them (below `evaluate`); those of other models as they are.
EvaluationOptions fitted(EvaluationOptions options, const nn::LanguageModel& model);

struct Evaluation {
    std::string split;
    double nats = 0;
    std::int64_t tokens = 0;  // scored
    std::int64_t bytes = 0;   // of the text that they stand for
    std::int64_t words = 0;   // in it; 0: not known
    double nats_per_token() const;
    double perplexity_per_word() const;
    double bits_per_byte() const;
};

// Reads a whole split: every token but each stream's first is scored, with memory carried from window to window.
//
// A model of fixed context (gmlp, smlp) reads windows of `context` positions of which the first `memory` were the last of the window before
// and are not scored again: with memory 0 windows stand beside each other, and a token has 0 to context − 1 tokens before it; with more
// memory it has at least so many. Partial prediction remembers at least its prefix, whose positions see each other; what stands there when
// a stream begins is scored in windows that end with it (nn/evaluation.h). So no score sees what it predicts.
Evaluation evaluate(engine::Exec& exec, nn::LanguageModel& model, const data::TokenStore& store, const std::string& split,
                    const EvaluationOptions& options);
// A few lines that the model writes on from the beginning of the split `valid`, for a file of samples/; empty where it cannot.
std::string sample_text(engine::Exec& exec, nn::LanguageModel& model, const data::TokenStore& store, const Config& config);
// The keys of `eval --json`.
nlohmann::ordered_json evaluation_json(const Evaluation& evaluation);

}  // namespace apps
