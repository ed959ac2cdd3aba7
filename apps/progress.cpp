#include "apps/progress.h"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

namespace apps {

std::string duration_text(double seconds) {
    auto whole = static_cast<long>(std::max(0.0, seconds) + 0.5);
    if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
    return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

std::string count_text(double count) {
    if (count >= 1e12) return fmt::format("{:.2f}T", count / 1e12);
    if (count >= 1e9) return fmt::format("{:.2f}G", count / 1e9);
    if (count >= 1e6) return fmt::format("{:.2f}M", count / 1e6);
    if (count >= 1e3) return fmt::format("{:.1f}k", count / 1e3);
    return fmt::format("{:.0f}", count);
}

Progress::Progress(std::string label, std::int64_t total_steps) : label_(std::move(label)), total_(total_steps) {}

void Progress::show(std::int64_t step, double loss, double tokens_per_second, double seconds_left, const std::string& more) {
    int filled = total_ > 0 ? static_cast<int>(static_cast<double>(step) / static_cast<double>(total_) * StatusLine::kWidth) : 0;
    std::string text = fmt::format("{}  step {}/{}  loss {:.4f}  {} tok/s  {} left{}", label_, step, total_, loss,
                                   count_text(tokens_per_second), duration_text(seconds_left), more);
    line_.show(filled, text);
}

void Progress::show_evaluation(std::int64_t step, double bits_per_byte) {
    end();
    fmt::print(stderr, "{}  step {}  {:.4f} bits per byte on valid\n", label_, step, bits_per_byte);
}

}  // namespace apps
