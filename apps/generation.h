#pragma once
#include "apps/config.h"
#include "apps/sampling.h"
#include "nn/language_model.h"

#include <functional>
#include <vector>

namespace apps {

// Which experts each layer chose for a token: experts[layer][k], by falling score; empty for layers without a choice.
using TokenExperts = std::vector<std::vector<std::int32_t>>;

// Decodes token by token, with the caches of every layer.
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

  private:
    void read_window(const std::vector<std::int32_t>& ids);

    engine::Exec& exec_;
    nn::LanguageModel& model_;
    Size context_;
    nn::DecodeCache cache_;
    std::vector<float> logits_;
    std::vector<TokenExperts> experts_;
    std::uint64_t drawn_ = 0;
};

}  // namespace apps
