#include "apps/report_run.h"

#include "engine/base/error.h"
#include "tests/support/run_folder.h"
#include "tests/support/temporary_folder.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include <doctest/doctest.h>

namespace {

namespace fs = std::filesystem;

void append(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::app) << text; }
void replace(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::trunc) << text; }

bool mentions(const std::vector<std::string>& sentences, const std::string& part) {
    return std::any_of(sentences.begin(), sentences.end(), [&](const std::string& one) { return one.find(part) != std::string::npos; });
}

}  // namespace

TEST_CASE("a whole run's folder is read into its parts") {
    tests::TemporaryFolder folder;
    tests::RunFolder{.records = 20, .eval_every = 100, .layers = 2, .notes = {"leaks the future: always"}, .samples = {"one", "two"}}.write(
        folder / "run");
    apps::RunReport run = apps::read_run(folder / "run");
    CHECK(run.name == "run");
    CHECK(run.method == "sigma-moe");
    CHECK(run.config.at("ffn.n_experts") == "16");
    CHECK(run.config.at("train.lr_scale").find("4.0") != std::string::npos);
    CHECK(run.curve.size() == 20);
    CHECK(run.curve.step.back() == 200);
    CHECK(run.curve.tokens.back() == 200 * 4096);
    CHECK(run.curve.balance.at("entropy").size() == 20);
    REQUIRE(run.evaluations.size() == 3);
    CHECK(run.evaluations[0].split == "valid");
    CHECK(run.evaluations[0].tokens == 100 * 4096);
    CHECK(run.evaluations[2].split == "test");
    REQUIRE(run.layers.size() == 2);
    CHECK(run.layers[1].load.size() == 20);
    CHECK(run.layers[1].experts == 16);
    double sum = 0;
    for (float load : run.layers[1].load.back()) sum += load;
    CHECK(sum == doctest::Approx(16).epsilon(1e-5));  // relative loads: 16 floats that average to 1
    CHECK(run.plan.parameters == 4'000'000);
    CHECK(run.plan.parts.size() == 3);
    CHECK(run.notes == std::vector<std::string>{"leaks the future: always"});
    REQUIRE(run.samples.size() == 2);
    CHECK(run.samples[1].text == "two");
    CHECK(run.problems.empty());
}

TEST_CASE("a folder that is no run is an error that names it") {
    tests::TemporaryFolder folder;
    CHECK_THROWS_WITH_AS(apps::read_run(folder / "absent"), doctest::Contains("no such run"), engine::Error);
    CHECK_THROWS_WITH_AS(apps::read_run(folder.path()), doctest::Contains("neither config.toml nor metrics.jsonl"), engine::Error);
}

TEST_CASE("what is wrong with a run becomes a sentence, and the rest is still read") {
    tests::TemporaryFolder folder;
    fs::path path = folder / "run";
    tests::RunFolder{.records = 10, .layers = 1}.write(path);
    append(path / "metrics.jsonl", "{\"step\": 110, \"loss\": null, \"tokens\": 1}\n{\"loss\": 2}\nnonsense\n{\"step\": 120, \"lo");
    append(path / "moe.jsonl",
           "{\"step\": 110, \"layer\": 0, \"load\": [1, 0]}\n{\"step\": 110}\n{\"step\": 110, \"layer\": 1e99, \"load\": [1]}\n");
    replace(path / "config.toml", "[ffn\n");
    replace(path / "plan.json", "[]");
    apps::RunReport run = apps::read_run(path);
    CHECK(run.curve.size() == 11);
    CHECK(mentions(run.problems, "config.toml is not TOML: line 1"));
    CHECK(mentions(run.problems, "the loss is not finite in 1 of 11 records, first at step 110"));
    CHECK(mentions(run.problems, "1 records without a step"));
    CHECK(mentions(run.problems, "1 lines are no JSON objects"));
    CHECK(mentions(run.problems, "the last line is cut"));
    CHECK(mentions(run.problems, "moe.jsonl: 3 records"));
    CHECK(mentions(run.problems, "plan.json is no JSON object"));
    CHECK(run.layers[0].load.size() == 10);
    CHECK(std::isnan(run.plan.parameters));
}

TEST_CASE("a run that has only just begun is no error") {
    tests::TemporaryFolder folder;
    fs::create_directories(folder / "run");
    replace(folder / "run" / "config.toml", "[ffn]\nmethod = \"peer\"\n");
    apps::RunReport run = apps::read_run(folder / "run");
    CHECK(run.method == "peer");
    CHECK(mentions(run.problems, "no record of training"));
}

TEST_CASE("of steps that were written twice the later ones hold") {
    tests::TemporaryFolder folder;
    fs::create_directories(folder / "run");
    fs::path path = folder / "run" / "metrics.jsonl";
    for (int step : {1, 2, 3, 2})
        append(path, fmt::format("{{\"step\": {}, \"loss\": {}, \"balance.z\": 1}}\n", step, step == 2 ? 9 : step));
    for (int step : {2, 3, 2}) append(path, fmt::format("{{\"step\": {}, \"eval\": {{\"bits_per_byte\": 1}}}}\n", step));
    apps::RunReport run = apps::read_run(folder / "run");
    CHECK(run.curve.step == std::vector<double>{1, 2});
    CHECK(run.curve.loss == std::vector<double>{1, 9});
    CHECK(run.curve.balance.at("z").size() == 2);
    CHECK(run.evaluations.size() == 1);
    CHECK(mentions(run.problems, "2 records stand twice"));
}

TEST_CASE("thousands of experts are shown as groups of neighbours whose mean load is kept") {
    tests::TemporaryFolder folder;
    fs::create_directories(folder / "run");
    replace(folder / "run" / "metrics.jsonl", "{\"step\": 1, \"loss\": 1}\n");
    nlohmann::json load = nlohmann::json::array();
    for (int e = 0; e < 1000; ++e) load.push_back(e == 0 ? 1.0 : 0.0);
    append(folder / "run" / "moe.jsonl", nlohmann::json{{"step", 1}, {"layer", 3}, {"load", load}}.dump() + "\n");
    apps::RunReport run = apps::read_run(folder / "run");
    const apps::LayerUsage& layer = run.layers.at(0);
    CHECK(layer.experts == 1000);
    REQUIRE(layer.load.at(0).size() == apps::kMostGroups);
    CHECK(layer.load[0][0] == doctest::Approx(1000.0 / 3));  // group 0 holds experts 0, 1, 2
    CHECK(layer.load[0][1] == 0);
}

TEST_CASE("the notes are those of the checkpoint that latest names; a latest that is not understood is a problem") {
    tests::TemporaryFolder folder;
    tests::RunFolder{.records = 1, .layers = 0}.write(folder / "run");
    fs::path checkpoints = folder / "run" / "checkpoints";
    for (int step : {9, 100}) {
        fs::create_directories(checkpoints / fmt::format("step-{}", step));
        replace(checkpoints / fmt::format("step-{}", step) / "state.json", fmt::format("{{\"notes\": [\"of step {}\"]}}", step));
    }
    replace(folder / "run" / "latest", "step-9\n");
    CHECK(apps::read_run(folder / "run").notes == std::vector<std::string>{"of step 9"});
    replace(folder / "run" / "latest", "what\n");
    CHECK(mentions(apps::read_run(folder / "run").problems, "is not understood"));
}

TEST_CASE("a method that leaks the future says so, once, whether or not the run's state does") {
    tests::TemporaryFolder folder;
    tests::RunFolder{.method = "expert-choice", .records = 1}.write(folder / "silent");
    CHECK(mentions(apps::read_run(folder / "silent").notes, "leaks the future, in evaluation too"));
    tests::RunFolder{.method = "expert-choice", .records = 1, .notes = {"leaks the future: told"}}.write(folder / "told");
    CHECK(apps::read_run(folder / "told").notes == std::vector<std::string>{"leaks the future: told"});
}

TEST_CASE("names are as short as they can be and still differ") {
    CHECK(apps::short_names({"/r/dense"}) == std::vector<std::string>{"dense"});
    CHECK(apps::short_names({"/r/a/", "/r/b"}) == std::vector<std::string>{"a", "b"});
    CHECK(apps::short_names({"/r/one/dense", "/r/two/dense"}) == std::vector<std::string>{"one/dense", "two/dense"});
    CHECK(apps::short_names({"/r/x", "/r/x"}) == std::vector<std::string>{"r/x", "r/x"});
}

TEST_CASE("a value between two records stands on the line through them") {
    std::vector<double> x{1, 3, 4}, y{10, 20, NAN};
    CHECK(apps::value_at(x, y, 1) == 10);
    CHECK(apps::value_at(x, y, 2) == 15);
    CHECK(std::isnan(apps::value_at(x, y, 0.5)));
    CHECK(std::isnan(apps::value_at(x, y, 3.5)));
    CHECK(std::isnan(apps::value_at(x, y, 5)));
}
