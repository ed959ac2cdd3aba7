#include "apps/rank_meeting.h"

#include "engine/base/error.h"
#include "engine/base/philox.h"

#include <doctest/doctest.h>

using namespace apps;

TEST_CASE("--init names a host and a port of either family, or a folder") {
    CHECK(meeting_at("tcp://node-1.cluster:29500").host == "node-1.cluster");
    CHECK(meeting_at("tcp://node-1.cluster:29500").port == 29500);
    CHECK(meeting_at("tcp://[fe80::1]:65535").host == "fe80::1");
    CHECK(told_place(meeting_at("tcp://[fe80::1]:65535")) == "[fe80::1]:65535");
    CHECK(told_place(meeting_at("tcp://10.0.0.1:1")) == "10.0.0.1:1");
    CHECK(meeting_at("file:///scratch/meet").folder == "/scratch/meet");
    CHECK(meeting_at("file://meet").folder == "meet");
}

TEST_CASE("anything else is refused as wrong usage") {
    for (const char* init : {"", "tcp://", "tcp://host", "tcp://:1", "tcp://host:", "tcp://host:0", "tcp://host:65536", "tcp://host:1x",
                             "tcp://host:-1", "tcp://fe80::1:2000", "tcp://[]:1", "file://", "http://host:1", "host:1"}) {
        CAPTURE(init);
        CHECK_THROWS_AS(meeting_at(init), engine::UsageError);
    }
}

TEST_CASE("the first host of a list of Slurm's") {
    for (auto [list, host] : {std::pair{"login", "login"},
                              {"login,n1", "login"},
                              {"n[007-012,20],login", "n007"},
                              {"n[3]", "n3"},
                              {"gpu[1-2]x[30-40]-ib.local,b", "gpu1x30-ib.local"},
                              {"[10-12]", "10"},
                              {"a_b[0001]c", "a_b0001c"}}) {
        CHECK(first_slurm_host(list) == host);
    }
    for (const char* list : {"", ",n1", "n[", "n[]", "n[-3]", "n[a]", "n[1-2", "n]1", "n[1;2]", "n 1", "[", "n[[1]]"}) {
        CAPTURE(list);
        CHECK_THROWS_AS(first_slurm_host(list), engine::Error);
    }
}

TEST_CASE("100,000 random lists of Slurm's letters give a plain host or an error") {
    constexpr std::string_view kLetters = "[[]],,--019ab.;\n\0";
    int hosts = 0;
    for (std::uint64_t i = 0; i < 100'000; ++i) {
        std::string list;
        std::uint64_t length = engine::random_bits(5, 0, 0, i) % 12;
        for (std::uint64_t j = 0; j < length; ++j) list += kLetters[engine::random_bits(5, 1 + j, 1, i) % kLetters.size()];
        try {
            std::string host = first_slurm_host(list);
            bool plain = !host.empty() && host.find_first_not_of("019ab.-") == std::string::npos;
            if (!plain) FAIL_CHECK(list);
            ++hosts;
        } catch (const engine::Error&) {}
    }
    CHECK(hosts > 1000);
}
