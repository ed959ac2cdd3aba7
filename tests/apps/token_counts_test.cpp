#include "apps/token_counts.h"

#include "tests/support/small_runs.h"

#include <algorithm>
#include <numeric>

#include <doctest/doctest.h>

using namespace tests;

TEST_CASE(
    "a hash run gives the ids of its text, by falling frequency, to the expert with the least, and knows the vocabulary from the model") {
    SmallRuns runs;
    runs.set_feed_forward("method = \"hash\"\nn_experts = 4\nexpert_size = 3\nk = 1");
    REQUIRE(run_program(runs.train("run", {"train.steps=2", "train.schedule_steps=2"})).code == 0);
    apps::Config config = apps::load_config(runs / "run/config.toml");
    data::TokenStore store(config.data.path);
    std::vector<std::int64_t> counts = apps::token_counts(config, store, store.vocab());
    const data::Split& split = store.split("train");
    std::vector<std::int32_t> ids(static_cast<std::size_t>(split.tokens()));
    split.read(0, split.tokens(), ids.data());
    REQUIRE(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}) == split.tokens());
    for (std::size_t id = 0; id < counts.size(); ++id)
        CHECK(counts[id] == std::count(ids.begin(), ids.end(), static_cast<std::int32_t>(id)));

    auto tensors = tensors_of(runs / "run/checkpoints/step-2");
    const auto& table = tensors.at("model.safetensors blocks.0.ffn.hash.table");
    // The most frequent ids go to experts of their own; then each id to the expert with the least text.
    std::vector<std::size_t> order(counts.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return counts[a] > counts[b]; });
    REQUIRE(counts[order[3]] > 0);
    std::vector<std::int64_t> loads(4);
    for (std::size_t id : order) {
        std::int64_t& load = loads[static_cast<std::size_t>(table[id])];
        CHECK(load == *std::min_element(loads.begin(), loads.end()));
        load += std::max<std::int64_t>(1, counts[id]);
    }
}

TEST_CASE("a run refuses a vocabulary of its hash table that is not the model's, and counts nothing for other methods") {
    SmallRuns runs;
    runs.set_feed_forward("method = \"hash\"\nn_experts = 4\nexpert_size = 3\nk = 1\nvocab = 255");
    CHECK(run_program(runs.train("run")).errors.find("ffn.vocab is not the model's: got 255, expected 256") != std::string::npos);
    apps::Config config;
    config.ffn.method = "rand-hash";
    runs.set_feed_forward("method = \"rand-hash\"\nn_experts = 4\nexpert_size = 3\nk = 1");
    REQUIRE(run_program(runs.train("other", {"train.steps=0"})).code == 0);
    config = apps::load_config(runs / "other/config.toml");
    CHECK(apps::token_counts(config, data::TokenStore(config.data.path), 256).empty());
}
