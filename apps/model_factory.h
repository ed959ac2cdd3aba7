#pragma once
// From a configuration to a model.
#include "apps/config.h"
#include "nn/language_model.h"
#include "nn/optimizer.h"
#include "nn/trainer.h"

#include <memory>

namespace apps {

// The model that a configuration describes, over `vocab` token kinds. Throws, before anything is allocated, for keys that are missing or
// do not fit each other. `token_counts`: of the training text, for a new model's balanced tables of ids (token_counts.h).
std::unique_ptr<nn::LanguageModel> make_model(const Config& config, Size vocab, const std::vector<std::int64_t>& token_counts = {});

// model.vocab, or the data's where the configuration leaves it out. Throws where the data hold ids that the model would not know.
Size vocab_of(const Config& config, std::optional<Size> data_vocab);
// "sigma-moe"; "smlp with base"; of a model without a feed-forward its kind.
std::string method_name(const Config& config);
// What a report must say of later positions that reach earlier ones; empty where none does.
std::vector<std::string> leak_notes(const Config& config);
Size context_of(const Config& config);
// Positions remembered while training and while evaluating.
Size training_memory(const Config& config);
Size evaluation_memory(const Config& config);
engine::Dtype dtype_named(std::string_view name);
nn::OptimizerOptions optimizer_options(const Config& config);
nn::ParameterStore::Cut cut_of(const Config& config);
nn::Reduction reduction_of(const Config& config);

}  // namespace apps
