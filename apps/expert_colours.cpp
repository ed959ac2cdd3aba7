#include "apps/expert_colours.h"

#include "engine/base/error.h"

#include <algorithm>
#include <array>

namespace apps {
namespace {

// Backgrounds of the 256-colour palette on which black text reads well, neighbours far apart in hue.
constexpr std::array<int, 24> kPalette{117, 215, 120, 211, 228, 147, 80,  209, 156, 183, 222, 110,
                                       174, 114, 225, 186, 75,  216, 151, 177, 229, 109, 217, 153};

// A token on a line of its own: control characters and spaces visible.
std::string printable(const std::string& text) {
    std::string result;
    for (unsigned char c : text) result += c < 32 || c == 127 ? fmt::format("\\x{:02x}", c) : std::string(1, static_cast<char>(c));
    return result;
}

}  // namespace

ExpertColours::ExpertColours(const std::vector<TokenExperts>& first_tokens, int layer, bool terminal) : terminal_(terminal) {
    std::vector<std::size_t> choosing;
    for (std::size_t i = 0; !first_tokens.empty() && i < first_tokens.front().size(); ++i) {
        if (!first_tokens.front()[i].empty()) choosing.push_back(i);
    }
    engine::expect(!choosing.empty(), "generate", "no layer of this model chooses experts; hint: leave out --show-experts");
    bool known = layer < 0 || std::find(choosing.begin(), choosing.end(), static_cast<std::size_t>(layer)) != choosing.end();
    engine::expect(known, "generate", "layer {} chooses no experts; hint: --layer {}", layer, choosing.front());
    layer_ = layer < 0 ? choosing[choosing.size() / 2] : static_cast<std::size_t>(layer);
}

std::string ExpertColours::colour(std::int32_t expert) const {
    return fmt::format("\033[48;5;{};30m", kPalette[static_cast<std::size_t>(expert) % kPalette.size()]);
}

std::string ExpertColours::token(const std::string& text, const TokenExperts& experts) {
    const std::vector<std::int32_t>& chosen = experts.at(layer_);
    used_[chosen.front()] += 1;
    if (!terminal_) return fmt::format("{:<8} {}\n", printable(text), fmt::join(chosen, " "));
    // A background does not run over the end of a line.
    std::string result = colour(chosen.front());
    for (char c : text) result += c == '\n' ? "\033[0m\n" + colour(chosen.front()) : std::string(1, c);
    return result + "\033[0m";
}

std::string ExpertColours::legend() const {
    std::vector<std::pair<int, std::int32_t>> order;
    int total = 0;
    for (const auto& [expert, count] : used_) order.emplace_back(-count, expert), total += count;
    std::sort(order.begin(), order.end());
    std::string text = fmt::format("layer {}, first choice of {} tokens:", layer_, total);
    for (const auto& [count, expert] : order) {
        text += terminal_ ? fmt::format(" {} {} \033[0m {}", colour(expert), expert, -count) : fmt::format(" {}:{}", expert, -count);
    }
    return text + "\n";
}

}  // namespace apps
