#include "apps/comm_constants.h"

#include "engine/io/atomic_file.h"
#include "tests/support/temporary_folder.h"

#include <cmath>

#include <doctest/doctest.h>

using apps::CommConstants;
using apps::Link;

namespace {

CommConstants some_constants() {
    return {.device = "cpu", .ranks = 3, .local = {{"all_gather", {1e-6, 3e9}}, {"tree_sum", {2e-6, 1e9}}}, .remote = {}};
}

}  // namespace

TEST_CASE("latency and bandwidth are read off times that follow them, to rounding, and off noisy ones nearly") {
    for (double noise : {0.0, 0.05}) {
        std::vector<apps::CommPoint> points;
        for (double bytes = 4; bytes < 1e8; bytes *= 4) {
            double wobble = 1 + noise * std::sin(static_cast<double>(points.size()) * 2.3);
            points.push_back({bytes, (2 * 5e-6 + bytes / 8e9) * wobble});
        }
        Link link = apps::fitted_link(points, 2);
        // Rounding of sums of 13 terms; with noise, its size.
        CHECK(std::abs(link.latency / 5e-6 - 1) <= noise + 1e-9);
        CHECK(std::abs(link.bandwidth / 8e9 - 1) <= 1.5 * noise + 1e-9);
    }
}

TEST_CASE("where latency hides the bandwidth, or there is none, both stay sensible") {
    Link flat = apps::fitted_link({{4, 1e-3}, {400, 1e-3}, {4000, 0.9e-3}}, 1);
    CHECK(flat.latency > 0);
    CHECK(flat.bandwidth == doctest::Approx(4000 / 0.9e-3));
    Link straight = apps::fitted_link({{1000, 1e-6}, {2000, 2.1e-6}, {4000, 4.5e-6}}, 1);
    CHECK(straight.latency == 0);
    CHECK(straight.bandwidth > 0);
}

TEST_CASE("nccl-tests' factors of the bus bandwidth") {
    CHECK(apps::bus_factor("tree_sum", 8) == 2 * 7.0 / 8);
    CHECK(apps::bus_factor("plain_sum", 2) == 1);
    CHECK(apps::bus_factor("all_gather", 4) == 0.75);
}

TEST_CASE("constants are saved, added to what a file has, and read back") {
    tests::TemporaryFolder folder;
    CommConstants local = some_constants(), remote{.device = "cpu", .ranks = 16, .local = {}, .remote = {{"tree_sum", {4e-5, 1e8}}}};
    apps::save_constants(folder / "comm.json", local);
    apps::save_constants(folder / "comm.json", remote);
    CommConstants both = apps::load_constants(folder / "comm.json");
    CHECK(both.ranks == 16);
    CHECK(both.local.at("all_gather").bandwidth == 3e9);
    CHECK(both.local.at("tree_sum").latency == 2e-6);
    CHECK(both.remote.at("tree_sum").bandwidth == 1e8);
    remote.device = "cuda:0";
    CHECK_THROWS_WITH_AS(apps::save_constants(folder / "comm.json", remote), doctest::Contains("has constants of cpu, these are of cuda:0"),
                         std::exception);
}

TEST_CASE("a file of something else is refused with what made it so") {
    tests::TemporaryFolder folder;
    CHECK_THROWS_WITH_AS(apps::load_constants(folder / "none"), doctest::Contains("is no file; hint: moegrad launch"), std::exception);
    for (const char* text :
         {"", "{}", "[1]", R"({"device": "cpu", "ranks": 2, "local": {"tree_sum": {"latency_seconds": 1e-6}}, "remote": {}})",
          R"({"device": "cpu", "ranks": 2, "local": {"tree_sum": {"latency_seconds": -1, "bytes_per_second": 1}}, "remote": {}})",
          R"({"device": "cpu", "ranks": 2, "local": {"tree_sum": {"latency_seconds": 0, "bytes_per_second": 0}}, "remote": {}})",
          R"({"device": "cpu", "ranks": 2, "local": {"song": {"latency_seconds": 0, "bytes_per_second": 1}}, "remote": {}})"}) {
        CAPTURE(text);
        engine::io::write_file(folder / "comm.json", text);
        CHECK_THROWS_WITH_AS(apps::load_constants(folder / "comm.json"), doctest::Contains("holds no constants of communication"),
                             std::exception);
    }
}
