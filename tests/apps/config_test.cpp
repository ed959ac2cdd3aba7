#include "apps/config.h"

#include "engine/base/error.h"
#include "tests/support/messages.h"

#include <doctest/doctest.h>

using namespace apps;
using tests::has;

namespace {

std::string error_of(const std::string& text) {
    std::string message = tests::message_of<engine::Error>([&] { parse_config(text, "a.toml"); });
    CHECK(message.find('\n') == std::string::npos);
    return message;
}

std::string set_error(const std::string& assignment) {
    Config config;
    return tests::message_of<engine::UsageError>([&] { set_config(config, assignment); });
}

}  // namespace

TEST_CASE("a configuration is read, written with comments and read again without a change") {
    Config config = parse_config(
        "seed = 7\n[model]\nchannels = 64\n[ffn]\nmethod = \"sigma-moe\"\nk = 4\nlayers = [0, 2]\n"
        "[train]\nlr = 1e-3\nlr_scale = { values = 4 }\n",
        "a.toml");
    CHECK(config.top.seed == 7);
    CHECK(config.model.channels == 64);
    CHECK(config.ffn.options.size("k") == 4);
    CHECK(config.ffn.layers.which == std::vector<Size>{0, 2});
    CHECK(config.train.lr_scale.at("values") == 4);
    Config again = parse_config(config_text(config), "again");
    CHECK(!first_difference(config, again));
    CHECK(config_text(again) == config_text(config));
    CHECK(config_text(parse_config("", "empty")) == config_text(Config{}));
}

TEST_CASE("each wrong configuration is one line that names the key") {
    CHECK(has(error_of("[train]\nbatches = 3"), "unknown key: got \"train.batches\"; hint: did you mean train.batch?"));
    CHECK(has(error_of("[trian]\nlr = 3"), "unknown section: got \"trian\"; hint: did you mean train?"));
    CHECK(has(error_of("sed = 1"), "did you mean seed?"));
    CHECK(has(error_of("seed = -1"), "seed is out of range: got -1"));
    CHECK(has(error_of("[train]\nlr = nan"), "train.lr is out of range"));
    CHECK(has(error_of("[train]\nlr = \"x\""), "train.lr has the wrong type"));
    CHECK(has(error_of("[train]\nsteps = 1.5"), "expected a whole number"));
    CHECK(has(error_of("[train]\nschedule = \"cosin\""), "did you mean cosine?"));
    CHECK(has(error_of("[model]\nrope = 1"), "expected true or false"));
    CHECK(has(error_of("[ffn]\nlayers = \"some\""), "\"all\" or a list"));
    CHECK(has(error_of("[ffn]\nk = 1979-05-27"), "ffn.k has the wrong type"));
    CHECK(has(error_of("[ffn]\nk = [1, \"a\"]"), "no list of whole numbers"));
    CHECK(has(error_of("[train\n"), "a.toml is not TOML: line 1"));
    CHECK(has(error_of("seed = 1\nseed = 2"), "a.toml is not TOML"));
    CHECK_THROWS_AS(load_config("/nowhere.toml"), engine::Error);
}

TEST_CASE("--set takes TOML values and plain words; its errors are those of usage") {
    Config config;
    set_config(config, "ffn.k=8");
    set_config(config, "ffn.method=sigma-moe");
    set_config(config, "train.lr_scale.values=4");
    set_config(config, "train.lr_scale.query=0.5");
    set_config(config, "train.decay_scale.query=0");
    set_config(config, "seed=3");
    CHECK(config.ffn.options.size("k") == 8);
    CHECK(config.ffn.method == "sigma-moe");
    CHECK(config.train.lr_scale == Factors{{"query", 0.5}, {"values", 4}});
    CHECK(config.train.decay_scale == Factors{{"query", 0}});
    CHECK(config.top.seed == 3);
    CHECK(has(set_error("ffn.k"), "--set wants section.key=value"));
    CHECK(has(set_error("train.lrr=1"), "did you mean train.lr?"));
    CHECK(has(set_error("nope.a=1"), "unknown section"));
    CHECK(has(set_error("=3"), "--set wants"));
    CHECK(has(set_error("train.lr.values=1"), "unknown key: got \"train.lr.values\""));
    CHECK(has(set_error("train.steps=many"), "train.steps has the wrong type"));
    CHECK(has(set_error("seed=1\nx=2"), "wrong type"));
}

TEST_CASE("when a run goes on only the keys of the schedule's rule may differ") {
    Config before, now;
    set_config(now, "train.steps=200");
    set_config(now, "train.keep=9");
    set_config(now, "parallel.ranks=4");
    CHECK(!first_difference(before, now));
    set_config(now, "ffn.k=3");
    auto difference = first_difference(before, now);
    REQUIRE(difference);
    CHECK(difference->name == "ffn.k");
    CHECK(difference->now == "3");
    set_config(now, "train.lr=1");
    CHECK(first_difference(before, now)->name == "train.lr");
}

TEST_CASE("an option that nobody asked for is an error that names the nearest") {
    nn::OptionTable options("ffn");
    options.set("n_expert", std::int64_t{4});
    CHECK(options.size("n_experts", 16) == 16);
    CHECK_THROWS_WITH(options.expect_all_used(), "[ffn] unknown option: got \"n_expert\"; hint: did you mean n_experts?");
    CHECK_THROWS_WITH(options.size("k"), "[ffn] option k is missing; hint: it has no default");
}
