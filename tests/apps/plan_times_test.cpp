#include "apps/plan_times.h"

#include "apps/comm_constants.h"
#include "tests/support/program_output.h"
#include "tests/support/small_runs.h"

#include <doctest/doctest.h>

using apps::Config;
using apps::Size;

namespace {

Config recipe() {
    Config config = apps::load_config("apps/configs/wt-b-sigma-moe.toml");
    apps::set_config(config, "train.batch=8");
    return config;
}

}  // namespace

TEST_CASE("with --scaling every rank of 4096 computes, holds and updates what one does; what it sends nears a bound") {
    apps::PlanTimes times = apps::plan_times(recipe(), 8000, {1, 8, 64, 512, 4096}, {.weak = true});
    REQUIRE(times.rows.size() == 5);
    const apps::TimedPlan& one = times.rows.front();
    CHECK(one.step.sum + one.step.gather == 0);
    for (const apps::TimedPlan& row : times.rows) {
        CAPTURE(row.ranks);
        CHECK(row.step.compute == one.step.compute);
        CHECK(row.step.optimizer == one.step.optimizer);
        CHECK(row.plan.tokens_per_step == row.ranks * one.plan.tokens_per_step);
        CHECK(row.plan.memory_total() <= 1.1 * static_cast<double>(one.plan.memory_total()));
        // 4 bytes a gradient, there and back: 2·(n−1)/n.
        double whole = 4 * static_cast<double>(row.plan.parameters);
        CHECK(apps::work_of(row.plan, recipe(), row.ranks).sum_bytes == doctest::Approx(row.ranks > 1 ? whole : 0).epsilon(0.01));
    }
    CHECK(times.rows[1].step.total() < times.rows[2].step.total());
    CHECK(times.rows[3].step.efficiency() > times.rows[4].step.efficiency());
}

TEST_CASE("with more ranks and the same batch a rank computes less; the optimizer's state cut, it updates less, too") {
    Config config = recipe();
    apps::set_config(config, "train.micro_batch=1");
    apps::PlanTimes whole = apps::plan_times(config, 8000, {1, 2, 8}, {});
    apps::set_config(config, "parallel.zero=1");
    apps::PlanTimes cut = apps::plan_times(config, 8000, {8}, {});
    CHECK(whole.rows[1].step.compute == whole.rows[0].step.compute / 2);
    CHECK(whole.rows[2].step.compute == whole.rows[0].step.compute / 8);
    CHECK(cut.rows[0].step.optimizer < 0.4 * whole.rows[2].step.optimizer);
    CHECK(cut.rows[0].step.gather > whole.rows[2].step.gather);
    CHECK(cut.rows[0].plan.memory_total() < whole.rows[2].plan.memory_total());
}

TEST_CASE("the speeds that a rank was given or measured with are those of the table") {
    tests::TemporaryFolder folder;
    apps::save_constants(folder / "comm.json",
                         {.device = "cuda", .ranks = 8, .local = {{"tree_sum", {0, 1e9}}, {"all_gather", {0, 1e9}}}, .remote = {}});
    apps::PlanTimes times =
        apps::plan_times(recipe(), 8000, {8}, {.comm = (folder / "comm.json").string(), .flops = 1e12, .ranks_per_node = 16, .weak = true});
    const apps::TimedPlan& row = times.rows.front();
    CHECK(row.step.compute == 3 * row.plan.flops_per_token.forward * static_cast<double>(row.plan.tokens_per_rank) / 1e12);
    // At 1 GB/s a rank sends what the plan counted; and 6 messages an exchange.
    double messages = 6e-6 * static_cast<double>(row.plan.communication_calls.at("gradients"));
    CHECK(row.step.sum == doctest::Approx(static_cast<double>(row.plan.communication_bytes.at("gradients")) / 1e9 + messages));
}

TEST_CASE("plan prints the table, and with --json one document with the same rows") {
    tests::SmallRuns runs;
    std::string file = (runs / "run.toml").string();
    std::string text = tests::printed_by({"plan", "-c", file, "--ranks", "1,2,4"});
    CHECK(text.find("parameters") == 0);
    CHECK(text.find("\n    4 ") != std::string::npos);
    CHECK(text.find("assumed: 50 GFLOP/s of a rank (--flops)") != std::string::npos);
    auto document = nlohmann::json::parse(tests::printed_by({"plan", "-c", file, "--scaling", "--json", "--flops", "1e9"}));
    CHECK(document["parameters"].get<Size>() > 0);
    REQUIRE(document["times"]["rows"].size() == 5);
    CHECK(document["times"]["rows"][4]["ranks"] == 4096);
    CHECK(document["times"]["rows"][4]["seconds"]["total"].get<double>() > document["times"]["rows"][0]["seconds"]["total"].get<double>());
    CHECK(document["times"]["sources"][0] == "given: 1 GFLOP/s of a rank");
    CHECK(text.find("assumed: gradients travel beside 67 % of the computing, the backward pass (--overlap)") != std::string::npos);
    auto after = nlohmann::json::parse(tests::printed_by({"plan", "-c", file, "--ranks", "1,2", "--json", "--overlap", "0"}));
    CHECK(after["times"]["rows"][1]["seconds"]["gradient_sum_exposed"] == after["times"]["rows"][1]["seconds"]["gradient_sum"]);
    CHECK(after["times"]["sources"].back() == "given: gradients travel beside 0 % of the computing (--overlap)");
    CHECK(tests::run_program({"plan", "-c", file, "--ranks", "0"}).code == 2);
    CHECK(tests::run_program({"plan", "-c", file, "--ranks", "9"}).code == 1);
}
