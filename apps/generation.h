#pragma once
#include "apps/config.h"
#include "apps/sampling.h"
#include "nn/language_model.h"

#include <functional>
#include <vector>

namespace apps {

// Which experts each layer chose for a token: experts[layer][k], by falling score; empty for layers without a choice.
using TokenExperts = std::vector<std::vector<std::int32_t>>;

// Decodes token by token, with the caches of every layer. A model of fixed context whose window is full goes on in a new one that begins
// with the last half of the old, or with as much as its prefix needs.
class Generator {
  public:
    // `memory` positions are remembered; prompts are read in windows of `context`.
    Generator(engine::Exec& exec, nn::LanguageModel& model, Size memory, Size context);

    // Reads ids; the logits of what follows are kept.
    void read(const std::vector<std::int32_t>& ids);
    // The next token, which is then read. Wants something read before.
    std::int32_t next(const SamplingOptions& options);
    // The choices for each of the ids read last.
    const std::vector<TokenExperts>& experts() const { return experts_; }
    // How often the window was full.
    int slides() const { return slides_; }

  private:
    void read_window(const std::vector<std::int32_t>& ids);
    void slide();

    engine::Exec& exec_;
    nn::LanguageModel& model_;
    Size context_;
    nn::DecodeCache cache_;
    std::vector<std::int32_t> window_;  // of a model of fixed context
    int slides_ = 0;
    std::vector<float> logits_;
    std::vector<TokenExperts> experts_;
    std::uint64_t drawn_ = 0;
};

}  // namespace apps
