#include "apps/byte_progress.h"

#include <cmath>

#include <fmt/format.h>

namespace apps {

std::string bytes_text(double bytes) {
    if (bytes >= 1e9) return fmt::format("{:.2f} GB", bytes / 1e9);
    if (bytes >= 1e6) return fmt::format("{:.1f} MB", bytes / 1e6);
    if (bytes >= 1e3) return fmt::format("{:.1f} kB", bytes / 1e3);
    return fmt::format("{:.0f} bytes", bytes);
}

ByteProgress::ByteProgress() : begin_(Clock::now()), shown_(begin_) {}

void ByteProgress::show(const std::string& what, std::int64_t done, std::int64_t of, std::int64_t text_bytes) {
    Clock::time_point now = Clock::now();
    if (what != what_) {
        what_ = what;
        begin_ = now;
    }
    if (std::chrono::duration<double>(now - shown_).count() < (line_.terminal() ? 0.1 : 5.0)) return;
    shown_ = now;
    double seconds = std::chrono::duration<double>(now - begin_).count(),
           share = of > 0 ? static_cast<double>(done) / static_cast<double>(of) : 0;
    double speed = seconds > 0 ? static_cast<double>(text_bytes) / seconds : 0;
    std::string text =
        fmt::format("{}  {:3.0f} %  {} of text  {}/s", what, 100 * share, bytes_text(static_cast<double>(text_bytes)), bytes_text(speed));
    line_.show(static_cast<int>(std::ceil(share * StatusLine::kWidth)), text);
}

}  // namespace apps
