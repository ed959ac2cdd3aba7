#pragma once
#include "engine/comm/socket.h"

#include <atomic>
#include <thread>
#include <vector>

namespace tests {

// A port of this machine behind which another one lies, some milliseconds away each way for every few kilobytes; or, once frozen, for ever.
class SlowLink {
  public:
    SlowLink(int target_port, int milliseconds);
    ~SlowLink();
    SlowLink(const SlowLink&) = delete;
    SlowLink& operator=(const SlowLink&) = delete;

    int port() const { return door_.port(); }
    void freeze() { frozen_ = true; }

  private:
    void accept_all();
    void carry(const engine::Socket& from, const engine::Socket& to) const;

    int target_port_, milliseconds_;
    engine::Socket door_;
    std::atomic<bool> frozen_ = false, ended_ = false;
    std::thread accepting_;
};

}  // namespace tests
