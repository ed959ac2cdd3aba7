#include "apps/report_summary.h"

#include "apps/json_lines.h"

#include <cmath>

#include <doctest/doctest.h>

namespace {

// Two records at steps 50 and 100, one evaluation a split at step 100.
apps::RunReport run_of(const std::string& name, double bits, const std::string& split = "test") {
    apps::RunReport run;
    run.name = name;
    run.curve.step = {50, 100};
    run.curve.tokens = {5000, 10000};
    run.curve.seconds = {1, 2};
    run.curve.loss = {3, 2};
    run.plan = {.parameters = 100, .active_parameters = 50, .forward_flops = 10, .selector_flops = 1, .parts = {}};
    run.evaluations.push_back({split, 100, 10000, 2, bits * std::log(2.0), bits, 1000, 1000});
    return run;
}

}  // namespace

TEST_CASE("a run's summary is its last record, its speed and its training FLOPs") {
    apps::RunSummary summary = apps::summarise(run_of("a", 1));
    CHECK(summary.steps == 100);
    CHECK(summary.tokens_per_second == 5000);
    CHECK(summary.training_flops == 3 * 10 * 10000);
    CHECK(summary.train_loss == 2);
    apps::RunSummary nothing = apps::summarise({});
    CHECK(std::isnan(nothing.steps));
    CHECK(std::isnan(nothing.tokens_per_second));
    CHECK(std::isnan(nothing.train_loss));
}

TEST_CASE("runs are compared on test text where all have it, else on valid") {
    apps::RunReport a = run_of("a", 1), b = run_of("b", 1, "valid");
    CHECK(apps::common_split({a, b}).empty());
    a.evaluations.push_back({"valid", 100, 10000, 2, 1, 1, 1000, 1000});
    CHECK(apps::common_split({a, b}) == "valid");
    b.evaluations.push_back({"test", 100, 10000, 2, 1, 1, 1000, 1000});
    CHECK(apps::common_split({a, b}) == "test");
    CHECK(apps::followed_split({a, b}) == "test");
    for (apps::RunReport* run : {&a, &b}) run->evaluations.push_back({"valid", 200, 20000, 4, 1, 1, 1000, 1000});
    CHECK(apps::followed_split({a, b}) == "valid");
}

TEST_CASE("the verdict on two runs names the one ahead, the gap and what it cost") {
    apps::RunReport a = run_of("dense", 2.0), b = run_of("moe", 1.9);
    b.plan.forward_flops = 5;
    b.curve.seconds = {1, 3};
    CHECK(apps::verdict({a, b}) ==
          "moe is ahead of dense on test text: 1.900 bits per byte against 2.000, 0.100 (5.0 %) fewer, at 1.00× the parameters, 0.50× the "
          "FLOPs per "
          "token, 1.00× the tokens and 1.50× the time.");
    CHECK(apps::verdict({a, run_of("twin", 2.0002)}).starts_with("dense and twin are level on test text: 2.000 bits per byte"));
}

TEST_CASE("the verdict on many runs names the best, the next, the last and the cost against the first") {
    std::string text = apps::verdict({run_of("a", 2.0), run_of("b", 1.7), run_of("c", 1.8)});
    CHECK(text.starts_with("b is ahead of the other 2 runs on test text: 1.700 bits per byte; next is c with 1.800, last a with 2.000."));
    CHECK(text.find("1.00× the parameters") != std::string::npos);
    CHECK(text.ends_with("of a."));
}

TEST_CASE("the verdict says when runs cannot be compared: no split in common, no finite value, other texts") {
    CHECK(apps::verdict({run_of("a", 1), run_of("b", 1, "valid")}).find("no split in common") != std::string::npos);
    CHECK(apps::verdict({run_of("a", 1), run_of("b", NAN)}) ==
          "a reached 1.000 bits per byte on test text at step 100. b has no finite value there.");
    CHECK(apps::verdict({run_of("a", NAN), run_of("b", NAN)}).starts_with("No run has a finite value"));
    apps::RunReport other = run_of("b", 1.5);
    other.evaluations[0].bytes = 999;
    CHECK(apps::verdict({run_of("a", 1), other}).ends_with("different texts (1000 and 999 bytes)."));
}

TEST_CASE("the verdict on one run tells its best evaluation when that was not its last") {
    apps::RunReport run = run_of("a", 1.5, "valid");
    run.evaluations.insert(run.evaluations.begin(), {"valid", 50, 5000, 1, 1, 1.25, 1000, 1000});
    CHECK(apps::verdict({run}) == "a reached 1.500 bits per byte on valid text at step 100; its best was 1.250 at step 50.");
    run.evaluations.clear();
    CHECK(apps::verdict({run}) == "a has no evaluation; its training loss is 2.000 nats per token at step 100.");
    CHECK(apps::verdict({apps::RunReport{.name = "b"}}) == "b has no losses to show.");
}

TEST_CASE("at equal cost, runs are read where each had spent what the thriftiest spent in all") {
    apps::RunReport a = run_of("a", 2.0), b = run_of("b", 1.0);
    b.curve.tokens = {10000, 20000};
    b.evaluations.insert(b.evaluations.begin(), {"test", 10, 5000, 0.2, 1, 3.0, 1000, 1000});
    b.evaluations.back().tokens = 20000;
    std::vector<apps::Budget> budgets = apps::equal_budgets({a, b}, "test");
    REQUIRE(budgets.size() == 3);
    CHECK(budgets[0].axis == "tokens");
    CHECK(budgets[0].amount == 10000);
    CHECK(budgets[0].bits_per_byte[0] == 2.0);
    CHECK(budgets[0].bits_per_byte[1] == doctest::Approx(3.0 - 2.0 / 3).epsilon(1e-12));  // a third of the way from 5000 to 20000
    CHECK(budgets[0].train_loss[1] == 3);
    a.plan.forward_flops = apps::kNoNumber;
    CHECK(apps::equal_budgets({a, b}, "test").size() == 2);
    CHECK(apps::equal_budgets({apps::RunReport{}, b}, "test").empty());
}

TEST_CASE("of the settings only those that differ are listed") {
    apps::RunReport a, b;
    a.config = {{"seed", "1"}, {"ffn.k", "4"}, {"same", "x"}};
    b.config = {{"seed", "2"}, {"same", "x"}};
    std::vector<apps::ConfigRow> rows = apps::config_differences({a, b});
    REQUIRE(rows.size() == 2);
    CHECK(rows[0].key == "ffn.k");
    CHECK(rows[0].values == std::vector<std::string>{"4", ""});
    CHECK(rows[1].key == "seed");
    CHECK(apps::config_differences({a}).empty());
}
