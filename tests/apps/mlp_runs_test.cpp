// gMLP and sMLP as a user trains, evaluates and asks them.
#include "apps/plan.h"
#include "data/token_store.h"
#include "tests/support/program_output.h"
#include "tests/support/small_runs.h"

#include <nlohmann/json.hpp>

#include <doctest/doctest.h>

using namespace tests;

namespace {

struct Kind {
    const char* name;
    const char* lines;  // in place of [model] and [ffn]
};

constexpr Kind kKinds[] = {
    {"gmlp", R"([model]
kind = "gmlp"
channels = 12
layers = 2
dropout = 0.1
tied = true
[mixer]
hidden = 24
tanh = true
)"},
    {"smlp", R"([model]
kind = "smlp"
channels = 12
layers = 2
dropout = 0.1
[mixer]
hidden = 24
n_experts = 3
layers = [1]
[ffn]
method = "sigma-moe"
n_experts = 4
expert_size = 5
k = 2
entropy_weight = 0.01
expert_dropout = 0.2
layers = [1]
dense_hidden = 16
)"},
    {"partial prediction", R"([model]
kind = "smlp"
channels = 12
layers = 2
[mixer]
method = "smlp"
hidden = 24
n_experts = 3
routing = "partial-prediction"
partial = 0.3
[ffn]
method = "dense"
hidden = 16
)"},
};

}  // namespace

TEST_CASE("a gmlp or smlp run that stopped and went on equals one that did not, and so do 2 and 4 virtual ranks, bit for bit") {
    for (const Kind& kind : kKinds) {
        INFO(kind.name);
        for (const char* dtype : {"train.dtype=float32", "train.dtype=bfloat16"}) {
            INFO(dtype);
            SmallRuns runs;
            runs.set_model(kind.lines);
            check_stops_and_ranks(runs, {dtype}, {"--stop-at=5", "--stop-at=8"});
        }
    }
}

TEST_CASE("their loss falls") {
    for (const Kind& kind : kKinds) {
        INFO(kind.name);
        SmallRuns runs;
        runs.set_model(kind.lines);
        REQUIRE(run_program(runs.train("run", {"train.steps=120", "train.schedule_steps=117", "train.log_every=10", "train.eval_every=0"}))
                    .code == 0);
        std::vector<nlohmann::json> records = metrics_of(runs / "run");
        // From ln 256 = 5.5 nats; the text's words alone cost 12 words in about 5 letters each, ln 12 / 5 = 0.5.
        double first = records.front()["loss"], last = 9;
        for (const auto& record : records) last = record.contains("loss") ? record["loss"].get<double>() : last;
        CHECK(first > 3.0);
        CHECK(last < 2.3);
    }
}

TEST_CASE("eval scores every token but each stream's first, whatever is remembered; generate goes on past the context") {
    for (const Kind& kind : kKinds) {
        INFO(kind.name);
        SmallRuns runs;
        runs.set_model(kind.lines);
        REQUIRE(run_program(runs.train("run")).code == 0);
        std::string run = (runs / "run").string();
        data::TokenStore store(runs / "data");
        std::int64_t tokens = store.split("test").tokens();
        for (const char* memory : {"--memory=0", "--memory=5", "--memory=11"}) {
            nlohmann::json eval = nlohmann::json::parse(printed_by({"eval", run, memory, "--streams=1", "--json"}));
            CHECK(eval["tokens"] == tokens - 1);
            CHECK(eval["bytes"] == tokens);
        }
        CHECK(run_program({"eval", run, "--memory=12"}).code == 1);
        nlohmann::json answer = nlohmann::json::parse(
            printed_by({"generate", run, "--prompt", "the moon and no sea", "--max-tokens=30", "--seed=5", "--json"}));
        CHECK(answer["ids"].size() == 30);
    }
}

TEST_CASE("a prompt shorter than the prefix, a longer context and keys of other kinds are refused in one line") {
    SmallRuns runs;
    runs.set_model(kKinds[2].lines);
    REQUIRE(run_program(runs.train("run")).code == 0);
    ProgramResult shorter = run_program({"generate", (runs / "run").string(), "--prompt", "the", "--max-tokens=3"});
    CHECK(shorter.code == 1);
    CHECK(shorter.errors.find("got 3 tokens, expected at least 4; hint: a prompt of 4 tokens") != std::string::npos);
    struct Wrong {
        const char* setting;
        const char* message;
    };
    for (const Wrong& wrong : {
             Wrong{"model.heads=2", "are for attention"},
             Wrong{"model.memory=12", "model.memory is for transformer-xl"},
             Wrong{"mixer.method=gmlp", "mixer.method must be the model's kind"},
             Wrong{"mixer.layers=[2]", "mixer.layers names a layer that is not there"},
             Wrong{"mixer.hidden=25", "hidden must be a multiple of 2·n_experts = 6: got 25; hint: 24 or 30"},
             Wrong{"mixer.partial=1.0", "partial must lie between 0 and 1"},
             Wrong{"mixer.partial=0.0", "partial must lie between 0 and 1"},
             Wrong{"mixer.partial=0.99", "every position of the context sees later ones"},
             Wrong{"mixer.causal=false", "every position of the context sees later ones"},
             Wrong{"mixer.context=11", "data.context is longer than the mixer's: got 12, expected at most 11"},
             Wrong{"mixer.experts=3", "unknown option"},
             Wrong{"ffn.method=gmlp", "ffn.method is no feed-forward"},
             Wrong{"model.kind=gmlp", "a block of gmlp has no feed-forward"},
         }) {
        ProgramResult result = run_program(runs.train("other", {wrong.setting, "--dry-run"}));
        INFO(wrong.setting << ": " << result.errors);
        CHECK(result.code == 1);
        CHECK(result.errors.find(wrong.message) != std::string::npos);
    }
}

TEST_CASE("the plan of gmlp counts what the formula has") {
    apps::Config config = apps::parse_config(R"(
[data]
context = 20
[model]
kind = "gmlp"
channels = 16
layers = 3
[mixer]
hidden = 48
[train]
batch = 8
)",
                                             "test");
    apps::Plan plan = apps::make_plan(config, 100);
    double block = 2 * 16 * 48 + 2 * 24 * 16 + 2 * 24 * 10.5;
    CHECK(plan.flops_per_token.forward == 3 * block + 2 * 16 * 100);
    CHECK(plan.flops_per_token.selector == 0);
    CHECK(plan.parameters_by_part["mixer"] == 3 * (16 * 48 + 48 + 2 * 24 + 20 * 20 + 20 + 24 * 16 + 16));
    // Above the diagonal nothing is used.
    CHECK(plan.active_parameters == plan.parameters - 3 * 20 * 19 / 2 - 0);
    CHECK(plan.memory_bytes["activations"] > 0);
}
