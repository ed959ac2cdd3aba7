#pragma once
#include "apps/generation.h"

#include <map>
#include <string>

namespace apps {

// Text in which each token has the colour of the expert that one layer chose first for it.
class ExpertColours {
  public:
    // `layer` −1: the middle one of those that choose. Without a terminal tokens come one a line, with all chosen experts as numbers.
    ExpertColours(const std::vector<TokenExperts>& first_tokens, int layer, bool terminal);
    std::string token(const std::string& text, const TokenExperts& experts);
    // Which colour is which expert, and how often each was the first choice.
    std::string legend() const;

  private:
    std::string colour(std::int32_t expert) const;

    std::size_t layer_ = 0;
    bool terminal_;
    std::map<std::int32_t, int> used_;
};

}  // namespace apps
