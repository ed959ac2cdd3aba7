#pragma once
// TCP over both families of addresses, never waiting longer than a deadline.
#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <utility>

namespace engine {

class Deadline {
  public:
    explicit Deadline(double seconds)
        : end_(Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds))) {}
    // The nearer of this one and so many seconds from now.
    Deadline within(double seconds) const;
    bool is_over() const { return Clock::now() >= end_; }
    // 0 once it is over.
    int milliseconds_left() const;

  private:
    using Clock = std::chrono::steady_clock;
    Clock::time_point end_;
};

// A connection, or a door at which connections come in. Closed at its end; never blocks.
class Socket {
  public:
    Socket() = default;
    explicit Socket(int number, std::string peer = {}) : number_(number), peer_(std::move(peer)) {}
    Socket(Socket&& other) noexcept : number_(other.release()), peer_(std::move(other.peer_)) {}
    Socket& operator=(Socket&& other) noexcept {
        std::swap(number_, other.number_);
        std::swap(peer_, other.peer_);
        return *this;
    }
    ~Socket();

    bool is_open() const { return number_ >= 0; }
    int number() const { return number_; }
    int release() { return std::exchange(number_, -1); }
    // The other side has closed it, or the network has.
    bool has_ended() const;

    int port() const;             // this side's
    std::string address() const;  // this side's, in digits
    // The other side's, known still after the connection has ended.
    const std::string& peer() const { return peer_; }

  private:
    int number_ = -1;
    std::string peer_;
};

// At an address in digits, or, where that is empty, at every address of this machine; port 0: any free one. Throws where that cannot be.
Socket listen_at(const std::string& address, int port);
// The next connection, if one is waiting.
Socket accept_from(const Socket& door);

struct Dialled {
    Socket socket;
    std::string why;  // there is none
};
// One try at each of the host's addresses.
Dialled dial(const std::string& host, int port, Deadline deadline);

// All bytes in time; false where the connection ends before.
bool send_all(const Socket& to, std::span<const std::byte> bytes, Deadline deadline);
bool receive_all(const Socket& from, std::span<std::byte> bytes, Deadline deadline);
// How many of them are there already.
std::size_t receive_some(const Socket& from, std::span<std::byte> bytes);

// In digits: 10.0.0.1, fe80::1.
bool is_address(const std::string& host);
// Of this machine alone.
bool is_loopback(const std::string& host);

}  // namespace engine
