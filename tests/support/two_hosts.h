#pragma once
// Two machines on this one: network namespaces with a cable between them, 10.217.3.1 and 10.217.3.2.
#include "tests/support/small_runs.h"

#include <string>

namespace tests {

class TwoHosts {
  public:
    // Root may make them, with ip of iproute2; otherwise prints that the test is skipped.
    static bool possible();

    TwoHosts();
    ~TwoHosts();
    TwoHosts(const TwoHosts&) = delete;
    TwoHosts& operator=(const TwoHosts&) = delete;

    static std::string address(int host) { return "10.217.3." + std::to_string(host + 1); }
    static constexpr const char* kNetwork = "10.217.3.0/24";
    // What a command begins with to run on a host.
    Arguments on(int host) const { return {"ip", "netns", "exec", name(host)}; }
    std::string name(int host) const;
    void cut() const;
    // Bits a second in both directions; false where the kernel cannot.
    bool limit(const std::string& rate) const;
};

}  // namespace tests
