#include "apps/inspection.h"
#include "engine/io/atomic_file.h"
#include "engine/io/safetensors.h"
#include "tests/support/small_runs.h"

#include <cmath>
#include <fstream>

#include <doctest/doctest.h>

using namespace tests;

TEST_CASE("inspect --json has every tensor of the checkpoint with its statistics, and every layer's choices") {
    SmallRuns runs;
    REQUIRE(run_program(runs.train("run")).code == 0);
    nlohmann::json document = nlohmann::json::parse(printed_by({"inspect", runs / "run", "--json", "--tokens=0"}));
    auto file = engine::io::SafetensorsFile::open(runs / "run/checkpoints/step-12/model.safetensors");
    REQUIRE(document["tensors"].size() == file.names().size());
    for (const nlohmann::json& tensor : document["tensors"]) {
        std::vector<double> values = file.read<double>(tensor["name"]);
        double sum = 0, squares = 0, most = values.front();
        for (double value : values) sum += value, squares += value * value, most = std::max(most, value);
        auto count = static_cast<double>(values.size());
        CHECK(tensor["count"] == values.size());
        CHECK(tensor["mean"].get<double>() == doctest::Approx(sum / count));
        CHECK(tensor["std"].get<double>() ==
              doctest::Approx(std::sqrt(squares / count - sum / count * sum / count)).epsilon(1e-4).scale(1e-3));
        CHECK(tensor["max"].get<double>() == most);
    }
    REQUIRE(document["routing"]["layers"].size() == 2);
    for (const nlohmann::json& layer : document["routing"]["layers"]) {
        CHECK(layer["cells"] == 4);
        CHECK(layer["choices_per_token"] == 2);
        CHECK(layer["tokens"] == document["routing"]["tokens"]);
        double load = 0;
        for (double share : layer["load"]) load += share;
        CHECK(load == doctest::Approx(1));
        CHECK(layer["co_selection"]["tokens"].size() == 4);
        // A sequence is never more even than all of the text.
        CHECK(layer["sequence"]["max_vio"].get<double>() >= layer["max_vio"].get<double>() - 1e-9);
        CHECK(layer["router_entropy"].get<double>() <= std::log(4.0) + 1e-9);
    }
    // It reads what eval reads.
    nlohmann::json eval = nlohmann::json::parse(printed_by({"eval", runs / "run", "--split=valid", "--json"}));
    CHECK(document["routing"]["nats_per_token"].get<double>() == eval["nats_per_token"].get<double>());
    CHECK(document["routing"]["tokens"] == eval["tokens"]);
}

TEST_CASE("inspect tells the same as text and as a page, also of dense runs, product keys, and runs whose data are gone") {
    SmallRuns runs;
    REQUIRE(run_program(runs.train("run")).code == 0);
    std::string page = runs / "page.html";
    std::string text = printed_by({"inspect", runs / "run", "--out", page});
    CHECK(text.find("blocks.0.ffn.experts.w1") != std::string::npos);
    CHECK(text.find("layer 1 together: ") != std::string::npos);
    CHECK(engine::io::read_file(page).find("\"co_selection\"") != std::string::npos);

    std::ofstream(runs / "keys.toml") << engine::io::read_file(runs / "run.toml");
    Arguments keys = runs.train("keys");
    std::string config = engine::io::read_file(runs / "run.toml");
    std::size_t begin = config.find("[ffn]"), end = config.find("[train]");
    std::ofstream(runs / "keys.toml")
        << config.substr(0, begin) << "[ffn]\nmethod = \"peer\"\nheads = 2\nsub_keys = 3\nk = 2\nquery_size = 4\nquery_norm = \"batch\"\n"
        << config.substr(end);
    keys[2] = runs / "keys.toml";
    REQUIRE(run_program(keys).code == 0);
    nlohmann::json document = nlohmann::json::parse(printed_by({"inspect", runs / "keys", "--json"}));
    CHECK(document["notes"][0].get<std::string>().find("leaks the future") != std::string::npos);
    CHECK(document["routing"]["layers"][0]["choices_per_token"] == 4);
    CHECK(document["routing"]["layers"][0]["sub_keys"] == 3);
    CHECK(document["routing"]["layers"][0]["sub_key_entropy"].size() == 2);

    std::ofstream(runs / "dense.toml") << config.substr(0, begin) << "[ffn]\nmethod = \"dense\"\nhidden = 20\n" << config.substr(end);
    Arguments dense = runs.train("dense");
    dense[2] = runs / "dense.toml";
    REQUIRE(run_program(dense).code == 0);
    document = nlohmann::json::parse(printed_by({"inspect", runs / "dense", "--json"}));
    CHECK(document["routing"]["layers"].empty());
    CHECK(document["routing"]["nats_per_token"].is_number());

    std::filesystem::rename(runs / "data", runs / "elsewhere");
    document = nlohmann::json::parse(printed_by({"inspect", runs / "run", "--json"}));
    CHECK(document["notes"][0].get<std::string>().find("its data are not here") != std::string::npos);
    CHECK(document["tensors"].size() > 10);
    document = nlohmann::json::parse(printed_by({"inspect", runs / "run", "--json", "--data", runs / "elsewhere"}));
    CHECK(document["routing"]["layers"].size() == 2);
}

TEST_CASE("inspect refuses what is no run, a split that is none, and damaged weights, in one line") {
    SmallRuns runs;
    CHECK(run_program({"inspect", runs / "none"}).errors.find("[run] no run here") != std::string::npos);
    REQUIRE(run_program(runs.train("run", {"--stop-at=4"})).code == 75);
    CHECK(run_program({"inspect", runs / "run", "--split=all"}).code == 2);
    std::ofstream(runs / "run/checkpoints/step-4/model.safetensors") << "garbage";
    ProgramResult result = run_program({"inspect", runs / "run"});
    CHECK(result.code == 1);
    CHECK(std::count(result.errors.begin(), result.errors.end(), '\n') == 1);
}
