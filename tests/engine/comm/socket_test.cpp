#include "engine/comm/socket.h"

#include <array>

#include <doctest/doctest.h>
#include <sys/socket.h>

using namespace engine;

TEST_CASE("both ends of a connection know each other's address, also after one has reset it") {
    for (const char* host : {"127.0.0.1", "::1"}) {
        CAPTURE(host);
        Socket door = listen_at("", 0);
        Socket caller = dial(host, door.port(), Deadline(5)).socket, called;
        if (!caller.is_open() && std::string(host) == "::1") continue;  // a machine without IPv6
        REQUIRE(caller.is_open());
        for (Deadline soon(5); !called.is_open() && !soon.is_over();) called = accept_from(door);
        CHECK(called.peer() == host);
        linger reset{.l_onoff = 1, .l_linger = 0};
        setsockopt(called.number(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        called = Socket();
        std::array<std::byte, 1> none{};
        CHECK_FALSE(receive_all(caller, none, Deadline(5)));
        CHECK(caller.peer() == host);
    }
}
