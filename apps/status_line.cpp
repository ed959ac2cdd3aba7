#include "apps/status_line.h"

#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

namespace apps {

StatusLine::StatusLine() : terminal_(isatty(STDERR_FILENO) != 0) {}

void StatusLine::show(int filled, const std::string& text) {
    if (!terminal_) {
        fmt::print(stderr, "{}\n", text);
        return;
    }
    std::string bar;
    for (int i = 0; i < kWidth; ++i) bar += i < filled ? "━" : "─";
    fmt::print(stderr, "\r\033[K{} {}", bar, text);
    std::fflush(stderr);
    open_ = true;
}

void StatusLine::end() {
    if (open_) fmt::print(stderr, "\n");
    open_ = false;
}

}  // namespace apps
