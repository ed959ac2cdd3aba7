// eval, generate and logits of a trained run say the same about the same text.
#include "data/token_store.h"
#include "engine/io/safetensors.h"
#include "tests/support/small_runs.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numbers>
#include <numeric>

#include <doctest/doctest.h>

using namespace tests;

namespace {

std::vector<std::int32_t> test_tokens(const SmallRuns& runs) {
    data::TokenStore store(runs / "data");
    std::vector<std::int32_t> ids(static_cast<std::size_t>(store.split("test").tokens()));
    store.split("test").read(0, static_cast<std::int64_t>(ids.size()), ids.data());
    return ids;
}

struct Logits {
    std::vector<double> values;
    double loss;
};
Logits logits_of(const SmallRuns& runs, const std::vector<std::int32_t>& ids, engine::Size B, bool memory) {
    engine::io::SafetensorsWriter writer;
    writer.add("ids", {B, static_cast<engine::Size>(ids.size()) / B}, ids);
    writer.write(runs / "ids.safetensors");
    Arguments arguments{
        "logits", (runs / "run").string(), "--in", (runs / "ids.safetensors").string(), "--out", (runs / "logits.safetensors").string()};
    if (memory) arguments.emplace_back("--memory");
    printed_by(arguments);
    auto file = engine::io::SafetensorsFile::open(runs / "logits.safetensors");
    return {file.read<double>("logits"), file.read<double>("loss")[0]};
}

double nats(const std::vector<double>& logits, std::size_t row, std::size_t V, std::int32_t target) {
    double largest = *std::max_element(logits.begin() + static_cast<std::ptrdiff_t>(row * V),
                                       logits.begin() + static_cast<std::ptrdiff_t>((row + 1) * V));
    double sum = 0;
    for (std::size_t v = 0; v < V; ++v) sum += std::exp(logits[row * V + v] - largest);
    return largest + std::log(sum) - logits[row * V + static_cast<std::size_t>(target)];
}

}  // namespace

TEST_CASE("eval scores every token but the first, as logits with memory does") {
    SmallRuns runs;
    REQUIRE(run_program(runs.train("run")).code == 0);
    nlohmann::json eval = nlohmann::json::parse(printed_by({"eval", (runs / "run").string(), "--streams=1", "--memory=12", "--json"}));
    std::vector<std::int32_t> ids = test_tokens(runs);
    CHECK(eval["tokens"] == ids.size() - 1);
    CHECK(eval["bytes"] == ids.size());
    CHECK(eval["split"] == "test");
    // The same text as consecutive windows of 12; the rest is fed as one shorter window by itself.
    std::size_t whole = (ids.size() - 1) / 12 * 12;
    std::vector<std::int32_t> windows(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(whole));
    Logits logits = logits_of(runs, windows, static_cast<engine::Size>(whole / 12), true);
    double sum = 0;
    for (std::size_t i = 0; i < whole; ++i) sum += nats(logits.values, i, 256, ids[i + 1]);
    double rest = eval["nats_per_token"].get<double>() * static_cast<double>(ids.size() - 1) - sum;
    // What is left are the tokens of the last, shorter window: each costs between 0 and ln 256 · 2 nats.
    std::size_t left = ids.size() - 1 - whole;
    CHECK(rest >= -1e-3);
    CHECK(rest < static_cast<double>(left) * 12 + 1e-3);
    CHECK(eval["bits_per_byte"].get<double>() ==
          doctest::Approx(eval["nats_per_token"].get<double>() * static_cast<double>(ids.size() - 1) / std::numbers::ln2 /
                          static_cast<double>(ids.size())));
    nlohmann::json many = nlohmann::json::parse(printed_by({"eval", (runs / "run").string(), "--streams=3", "--json"}));
    CHECK(many["tokens"] == ids.size() - 3);
}

TEST_CASE("the loss of logits is the mean of predicting ids[:,1:]") {
    SmallRuns runs;
    REQUIRE(run_program(runs.train("run")).code == 0);
    std::vector<std::int32_t> ids = test_tokens(runs);
    ids.resize(24);
    Logits logits = logits_of(runs, ids, 2, false);
    double sum = 0;
    for (std::size_t i = 0; i < 24; ++i) {
        if (i % 12 != 11) sum += nats(logits.values, i, 256, ids[i + 1]);
    }
    CHECK(logits.loss == doctest::Approx(sum / 22).epsilon(1e-6));
    // Independent rows: the second does not see the first.
    std::vector<std::int32_t> second(ids.begin() + 12, ids.end());
    Logits alone = logits_of(runs, second, 1, false);
    CHECK(std::equal(alone.values.begin(), alone.values.end(), logits.values.begin() + 12 * 256));
}

TEST_CASE("greedy generation takes the likeliest token of the logits, and the same seed draws the same text") {
    SmallRuns runs;
    REQUIRE(run_program(runs.train("run")).code == 0);
    Arguments greedy{"generate", (runs / "run").string(), "--prompt", "the moon", "--max-tokens=3", "--temperature=0", "--json"};
    nlohmann::json answer = nlohmann::json::parse(printed_by(greedy));
    std::vector<std::int32_t> ids;
    for (char c : std::string("the moon")) ids.push_back(static_cast<unsigned char>(c));
    for (std::int32_t id : answer["ids"]) {
        Logits logits = logits_of(runs, ids, 1, false);
        auto last = logits.values.end() - 256;
        CHECK(id == static_cast<std::int32_t>(std::max_element(last, logits.values.end()) - last));
        ids.push_back(id);
    }
    Arguments drawn{"generate", (runs / "run").string(), "--prompt", "over", "--max-tokens=40", "--seed=5", "--json", "--show-experts"};
    nlohmann::json first = nlohmann::json::parse(printed_by(drawn));
    CHECK(first["ids"].size() == 40);
    CHECK(first == nlohmann::json::parse(printed_by(drawn)));
    // Two layers of two experts for each of 4 + 40 tokens.
    CHECK(first["experts"].size() == 44);
    CHECK(first["experts"][0].size() == 2);
    CHECK(first["experts"][0][0].size() == 2);
}

TEST_CASE("eval, generate and logits refuse what they cannot use with one message") {
    SmallRuns runs;
    REQUIRE(run_program(runs.train("run")).code == 0);
    std::string run = (runs / "run").string();
    engine::io::SafetensorsWriter wrong_shape, wrong_id;
    wrong_shape.add("ids", {3}, std::vector<std::int32_t>{1, 2, 3});
    wrong_shape.write(runs / "shape.safetensors");
    wrong_id.add("ids", {1, 3}, std::vector<std::int32_t>{1, 256, 3});
    wrong_id.write(runs / "id.safetensors");
    std::string out = (runs / "out.safetensors").string();
    for (const Arguments& arguments :
         {Arguments{"eval", (runs / "nothing").string()}, Arguments{"eval", run, "--data", (runs / "run").string()},
          Arguments{"eval", run, "--streams=100000"}, Arguments{"generate", run, "--prompt", ""},
          Arguments{"generate", run, "--prompt", "a", "--show-experts", "--layer", "7"},
          Arguments{"logits", run, "--in", (runs / "shape.safetensors").string(), "--out", out},
          Arguments{"logits", run, "--in", (runs / "id.safetensors").string(), "--out", out},
          Arguments{"logits", run, "--in", (runs / "run.toml").string(), "--out", out}}) {
        ProgramResult result = run_program(arguments);
        INFO(arguments[0] << ": " << result.errors);
        CHECK(result.code == 1);
        CHECK(result.errors.starts_with("moegrad: ["));
        CHECK(std::count(result.errors.begin(), result.errors.end(), '\n') == 1);
    }
    CHECK_FALSE(std::filesystem::exists(out));
    CHECK(run_program({"eval", run, "--split=tests"}).code == 2);
    CHECK(run_program({"generate", run, "--temperature=-1"}).code == 2);
}
