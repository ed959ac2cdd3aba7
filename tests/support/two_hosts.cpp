#include "tests/support/two_hosts.h"

#include <filesystem>
#include <iostream>

#include <unistd.h>

namespace tests {

namespace {

constexpr const char* kPrefix = "moegrad-";

bool run(const std::string& command) { return std::system((command + " > /dev/null 2>&1").c_str()) == 0; }

// Of tests that were killed.
void remove_stale() {
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator("/run/netns", none)) {
        std::string name = entry.path().filename().string();
        if (!name.starts_with(kPrefix)) continue;
        std::string process = name.substr(std::string(kPrefix).size());
        if (!std::filesystem::exists("/proc/" + process.substr(0, process.find('-')))) run("ip netns del " + name);
    }
}

}  // namespace

bool TwoHosts::possible() {
    static const bool can = [] {
        remove_stale();
        std::string name = std::string(kPrefix) + std::to_string(getpid()) + "-try";
        return geteuid() == 0 && run("ip netns add " + name) && run("ip netns exec " + name + " true") && run("ip netns del " + name);
    }();
    if (!can) std::cout << "skipped: two hosts on one machine need root, network namespaces and iproute2" << std::endl;
    return can;
}

std::string TwoHosts::name(int host) const { return kPrefix + std::to_string(getpid()) + "-" + std::to_string(host); }

TwoHosts::TwoHosts() {
    run("ip netns add " + name(0));
    run("ip netns add " + name(1));
    run("ip link add cable netns " + name(0) + " type veth peer name cable netns " + name(1));
    for (int host : {0, 1}) {
        run("ip -n " + name(host) + " addr add " + address(host) + "/24 dev cable");
        run("ip -n " + name(host) + " link set cable up");
        run("ip -n " + name(host) + " link set lo up");
    }
}

TwoHosts::~TwoHosts() {
    for (int host : {0, 1}) run("ip netns del " + name(host));
}

void TwoHosts::cut() const { run("ip -n " + name(0) + " link set cable down"); }

bool TwoHosts::limit(const std::string& rate) const {
    bool both = true;
    for (int host : {0, 1}) {
        both = run("ip netns exec " + name(host) + " tc qdisc add dev cable root tbf rate " + rate + " burst 16kb latency 100ms") && both;
    }
    return both;
}

}  // namespace tests
