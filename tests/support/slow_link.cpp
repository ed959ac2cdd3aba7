#include "tests/support/slow_link.h"

#include <array>
#include <chrono>
#include <list>

#include <poll.h>
#include <sys/socket.h>

namespace tests {

using namespace engine;

namespace {

void sleep_for(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

}  // namespace

SlowLink::SlowLink(int target_port, int milliseconds)
    : target_port_(target_port), milliseconds_(milliseconds), door_(listen_at("127.0.0.1", 0)), accepting_([this] { accept_all(); }) {}

SlowLink::~SlowLink() {
    ended_ = true;
    accepting_.join();
}

void SlowLink::accept_all() {
    std::list<Socket> links;
    std::list<std::thread> carriers;
    for (; !ended_; sleep_for(2)) {
        Socket caller = accept_from(door_);
        if (!caller.is_open()) continue;
        Dialled target = dial("127.0.0.1", target_port_, Deadline(1));
        if (!target.socket.is_open()) continue;
        Socket& a = links.emplace_back(std::move(caller));
        Socket& b = links.emplace_back(std::move(target.socket));
        carriers.emplace_back([&] { carry(a, b); });
        carriers.emplace_back([&] { carry(b, a); });
    }
    for (std::thread& carrier : carriers) carrier.join();
}

void SlowLink::carry(const Socket& from, const Socket& to) const {
    std::array<std::byte, 4096> bytes;
    while (!ended_) {
        pollfd event{from.number(), POLLIN, 0};
        if (poll(&event, 1, 20) <= 0) continue;
        if (frozen_) {
            sleep_for(20);
            continue;
        }
        if (from.has_ended()) break;
        std::size_t count = receive_some(from, bytes);
        sleep_for(milliseconds_);
        if (!send_all(to, std::span(bytes).first(count), Deadline(10))) break;
    }
    shutdown(to.number(), SHUT_WR);
}

}  // namespace tests
