#pragma once
#include "apps/status_line.h"

#include <cstdint>
#include <string>

namespace apps {

// "1:02:03", "4:05"
std::string duration_text(double seconds);
// "12.3k", "4.56M", "7.89G", "1.23T"
std::string count_text(double count);

// On a terminal one line that is drawn again; elsewhere one plain line an interval. Writes to stderr.
class Progress {
  public:
    Progress(std::string label, std::int64_t total_steps);
    // `seconds` and `done` since this process began; `step` of the whole run.
    void show(std::int64_t step, double loss, double tokens_per_second, double seconds_left, const std::string& more = "");
    void show_evaluation(std::int64_t step, double bits_per_byte);
    // Ends the line, so that other output can follow.
    void end() { line_.end(); }

  private:
    std::string label_;
    std::int64_t total_;
    StatusLine line_;
};

}  // namespace apps
