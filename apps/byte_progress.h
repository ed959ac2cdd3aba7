#pragma once
#include "apps/status_line.h"

#include <chrono>
#include <cstdint>
#include <string>

namespace apps {

// "12.3 MB", "4.56 GB": decimal units.
std::string bytes_text(double bytes);

// How far a program has come in a known number of bytes. On a terminal a bar that is drawn again, elsewhere one plain line an interval.
// Writes to stderr.
class ByteProgress {
  public:
    ByteProgress();
    // `text_bytes`: of text so far, whose speed is shown. Cheap enough to be called for each block.
    void show(const std::string& what, std::int64_t done, std::int64_t of, std::int64_t text_bytes);
    // Ends the line, so that other output can follow.
    void end() { line_.end(); }

  private:
    using Clock = std::chrono::steady_clock;

    StatusLine line_;
    std::string what_;
    Clock::time_point begin_, shown_;
};

}  // namespace apps
