#pragma once
#include <string>

namespace apps {

// On a terminal one line with a bar that is drawn again; elsewhere plain lines. Writes to stderr.
class StatusLine {
  public:
    static constexpr int kWidth = 24;  // of the bar

    StatusLine();
    bool terminal() const { return terminal_; }
    // The first `filled` cells of the bar are full.
    void show(int filled, const std::string& text);
    // Ends the line, so that other output can follow.
    void end();

  private:
    bool terminal_;
    bool open_ = false;
};

}  // namespace apps
