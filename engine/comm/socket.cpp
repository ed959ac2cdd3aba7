#include "engine/comm/socket.h"

#include "engine/base/error.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace engine {
namespace {

struct Address {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    sockaddr* pointer() { return reinterpret_cast<sockaddr*>(&storage); }
};

std::string digits_of(Address address) {
    char host[NI_MAXHOST];
    if (getnameinfo(address.pointer(), address.length, host, sizeof host, nullptr, 0, NI_NUMERICHOST) != 0) return {};
    std::string text = host;
    constexpr std::string_view kMapped = "::ffff:";  // an IPv4 address as a door of both families sees it
    return text.starts_with(kMapped) && text.find('.') != std::string::npos ? text.substr(kMapped.size()) : text;
}

Address own_address(int number) {
    Address address;
    if (getsockname(number, address.pointer(), &address.length) != 0) address.length = 0;
    return address;
}

std::string peer_of(int number) {
    Address address;
    return getpeername(number, address.pointer(), &address.length) == 0 ? digits_of(address) : std::string();
}

struct Found {
    std::unique_ptr<addrinfo, void (*)(addrinfo*)> first{nullptr, freeaddrinfo};
    std::string why;
};

Found find(const std::string& host, int port, int flags) {
    addrinfo hints{}, *first = nullptr;
    hints.ai_flags = AI_NUMERICSERV | flags;
    hints.ai_socktype = SOCK_STREAM;
    int bad = getaddrinfo(host.empty() ? nullptr : host.c_str(), std::to_string(port).c_str(), &hints, &first);
    Found found;
    if (bad == 0) found.first.reset(first);
    if (bad != 0) found.why = gai_strerror(bad);
    return found;
}

void set(int number, int level, int option, int value) { setsockopt(number, level, option, &value, sizeof value); }

Socket new_socket(int family) { return Socket(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

// 0, or what went wrong.
int connect_in_time(int number, const addrinfo& to, Deadline deadline) {
    if (connect(number, to.ai_addr, to.ai_addrlen) == 0) return 0;
    if (errno != EINPROGRESS) return errno;
    pollfd event{number, POLLOUT, 0};
    while (poll(&event, 1, deadline.milliseconds_left()) == 0) {
        if (deadline.is_over()) return ETIMEDOUT;
    }
    int result = ETIMEDOUT;
    socklen_t length = sizeof result;
    getsockopt(number, SOL_SOCKET, SO_ERROR, &result, &length);
    return result;
}

// Moves bytes until all are through: `move` is send or recv of what is left.
template <class Move>
bool move_all(int number, std::size_t bytes, short event, Deadline deadline, Move move) {
    for (std::size_t done = 0; done < bytes;) {
        ssize_t moved = move(done);
        if (moved > 0) {
            done += static_cast<std::size_t>(moved);
            continue;
        }
        if (moved == 0 || (errno != EAGAIN && errno != EINTR) || deadline.is_over()) return false;
        pollfd wanted{number, event, 0};
        poll(&wanted, 1, deadline.milliseconds_left());
    }
    return true;
}

}  // namespace

int Deadline::milliseconds_left() const {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - Clock::now()).count();
    return static_cast<int>(std::clamp<decltype(left)>(left, 0, 1'000'000'000));
}

Deadline Deadline::within(double seconds) const {
    Deadline nearer(seconds);
    nearer.end_ = std::min(nearer.end_, end_);
    return nearer;
}

Socket::~Socket() {
    if (is_open()) close(number_);
}

bool Socket::has_ended() const {
    std::byte next{};
    ssize_t seen = recv(number_, &next, 1, MSG_PEEK | MSG_DONTWAIT);
    return seen == 0 || (seen < 0 && errno != EAGAIN && errno != EINTR);
}

int Socket::port() const {
    Address address = own_address(number_);
    if (address.storage.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_port);
    return ntohs(reinterpret_cast<const sockaddr_in&>(address.storage).sin_port);
}

std::string Socket::address() const { return digits_of(own_address(number_)); }

Socket listen_at(const std::string& address, int port) {
    std::string why = "no such address";
    // IPv6's "any" takes IPv4 as well; a machine without IPv6 has the other.
    for (const char* any : {"::", "0.0.0.0"}) {
        Found found = find(address.empty() ? any : address, port, AI_PASSIVE | AI_NUMERICHOST);
        if (!found.first) {
            why = found.why;
            continue;
        }
        Socket door = new_socket(found.first->ai_family);
        if (found.first->ai_family == AF_INET6) set(door.number(), IPPROTO_IPV6, IPV6_V6ONLY, 0);
        set(door.number(), SOL_SOCKET, SO_REUSEADDR, 1);
        if (door.is_open() && bind(door.number(), found.first->ai_addr, found.first->ai_addrlen) == 0 && listen(door.number(), 4096) == 0) {
            return door;
        }
        why = std::strerror(errno);
        if (errno == EADDRINUSE) break;
    }
    fail("ranks", "cannot listen at {}:{}: {}", address.empty() ? "*" : address, port, why);
}

Socket accept_from(const Socket& door) {
    Address peer;
    int number = accept4(door.number(), peer.pointer(), &peer.length, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (number < 0) return {};
    set(number, IPPROTO_TCP, TCP_NODELAY, 1);
    return Socket(number, digits_of(peer));
}

Dialled dial(const std::string& host, int port, Deadline deadline) {
    Found found = find(host, port, 0);
    Dialled result{.socket = {}, .why = found.why};
    for (const addrinfo* each = found.first.get(); each != nullptr; each = each->ai_next) {
        Socket link = new_socket(each->ai_family);
        int bad = link.is_open() ? connect_in_time(link.number(), *each, deadline) : errno;
        result.why = std::strerror(bad);
        if (bad != 0) continue;
        std::string peer = peer_of(link.number());
        link = Socket(link.release(), peer);
        // Where nobody listens at a port that the system also gives to callers, a caller may meet itself.
        if (link.port() == port && link.address() == link.peer()) {
            result.why = std::strerror(ECONNREFUSED);
            continue;
        }
        set(link.number(), IPPROTO_TCP, TCP_NODELAY, 1);
        result.socket = std::move(link);
        break;
    }
    return result;
}

bool send_all(const Socket& to, std::span<const std::byte> bytes, Deadline deadline) {
    return move_all(to.number(), bytes.size(), POLLOUT, deadline,
                    [&](std::size_t done) { return send(to.number(), bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL); });
}

bool receive_all(const Socket& from, std::span<std::byte> bytes, Deadline deadline) {
    return move_all(from.number(), bytes.size(), POLLIN, deadline,
                    [&](std::size_t done) { return recv(from.number(), bytes.data() + done, bytes.size() - done, 0); });
}

std::size_t receive_some(const Socket& from, std::span<std::byte> bytes) {
    return static_cast<std::size_t>(std::max<ssize_t>(0, recv(from.number(), bytes.data(), bytes.size(), 0)));
}

bool is_address(const std::string& host) { return !host.empty() && find(host, 0, AI_NUMERICHOST).first != nullptr; }

bool is_loopback(const std::string& host) { return host == "localhost" || host == "::1" || (host.starts_with("127.") && is_address(host)); }

}  // namespace engine
