#include "engine/base/philox.h"
#include "tests/support/small_runs.h"

#include <csignal>
#include <fstream>

#include <doctest/doctest.h>

using namespace tests;

TEST_CASE("a run that stopped and went on equals one that did not, bit for bit, in float32, bfloat16 and with accumulation") {
    for (const Arguments& settings : {Arguments{}, Arguments{"train.dtype=bfloat16"}, Arguments{"train.accumulate=2"},
                                      Arguments{"train.dtype=float64", "model.memory=30"}}) {
        SmallRuns runs;
        CHECK(run_program(runs.train("whole", settings)).code == 0);
        for (const char* stop : {"--stop-at=5", "--stop-at=6", "--stop-at=11"}) {
            Arguments stopping = settings;
            stopping.emplace_back(stop);
            CHECK(run_program(runs.train("parts", stopping)).code == 75);
        }
        CHECK(run_program(runs.train("parts", settings)).code == 0);
        check_equal_runs(runs / "whole", runs / "parts");
    }
}

TEST_CASE("after SIGKILL at any moment the same command goes on bit-exactly") {
    SmallRuns runs;
    Arguments settings{"train.save_every=1", "train.eval_every=3", "train.dtype=bfloat16", "train.steps=30", "train.schedule_steps=20"};
    REQUIRE(run_process(runs.train("whole", settings)) == 0);
    int kills = 0;
    for (std::uint64_t life = 0; life < 60; ++life) {
        double seconds = 0.02 + 0.08 * engine::to_uniform(engine::random_bits(11, 0, 2, life));
        int code = run_process(runs.train("killed", settings), seconds, SIGKILL);
        if (code == 0) break;
        CHECK(code == 128 + SIGKILL);
        ++kills;
    }
    CHECK(kills > 2);
    CHECK(run_process(runs.train("killed", settings)) == 0);
    check_equal_runs(runs / "whole", runs / "killed", 30);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(runs / "killed")) {
        CHECK(entry.path().extension() != ".partial");
    }
}

TEST_CASE("SIGTERM and SIGINT finish the step, save, and exit with 75") {
    for (int signal : {SIGTERM, SIGINT}) {
        SmallRuns runs;
        Arguments settings{"train.steps=100000", "train.save_every=0", "train.eval_every=0"};
        CHECK(run_process(runs.train("run", settings), 0.3, signal, runs / "run/metrics.jsonl") == 75);
        std::string latest;
        std::ifstream(runs / "run/latest") >> latest;
        CHECK(std::filesystem::exists(runs / ("run/checkpoints/" + latest) / "model.safetensors"));
    }
}

TEST_CASE("threads, virtual ranks and what memory held before do not change a bit") {
    SmallRuns runs;
    REQUIRE(run_program(runs.train("one")).code == 0);
    for (const Arguments& settings :
         {Arguments{"train.threads=2"}, Arguments{"parallel.ranks=2"}, Arguments{"parallel.ranks=4", "train.threads=2"}}) {
        std::string out = settings.front() + settings.back();
        CHECK(run_program(runs.train(out, settings)).code == 0);
        check_equal_runs(runs / "one", runs / out);
    }
    for (const char* fill : {"0", "127", "255"}) {
        setenv("MOEGRAD_POOL_FILL", fill, 1);
        CHECK(run_process(runs.train(fill)) == 0);
        unsetenv("MOEGRAD_POOL_FILL");
        check_equal_runs(runs / "one", runs / fill);
    }
}

TEST_CASE("an embedding that is also the head has equal bits on 1, 2 and 4 virtual ranks") {
    SmallRuns runs;
    REQUIRE(run_program(runs.train("one", {"model.tied=true"})).code == 0);
    for (const char* ranks : {"parallel.ranks=2", "parallel.ranks=4"}) {
        CHECK(run_program(runs.train(ranks, {"model.tied=true", ranks})).code == 0);
        check_equal_runs(runs / "one", runs / ranks);
    }
}

TEST_CASE("moe.jsonl has a record for each layer and log step, whose loads are those of its experts") {
    SmallRuns runs;
    REQUIRE(run_program(runs.train("run")).code == 0);
    std::ifstream in(runs / "run/moe.jsonl");
    int records = 0;
    for (std::string line; std::getline(in, line); ++records) {
        nlohmann::json record = nlohmann::json::parse(line);
        CHECK(record["step"] == records / 2 * 2 + 2);
        CHECK(record["layer"] == records % 2);
        REQUIRE(record["load"].size() == 4);
        double sum = 0, largest = 0;
        for (double load : record["load"]) sum += load, largest = std::max(largest, load);
        CHECK(sum == doctest::Approx(1));
        CHECK(record["max_vio"].get<double>() == doctest::Approx(4 * largest - 1));
        CHECK(record["usage_perplexity"].get<double>() <= 4.0001);
    }
    CHECK(records == 12);
}

TEST_CASE("a run may go on with another number of ranks") {
    SmallRuns runs;
    REQUIRE(run_program(runs.train("one")).code == 0);
    CHECK(run_program(runs.train("many", {"parallel.ranks=4", "--stop-at=5"})).code == 75);
    CHECK(run_program(runs.train("many", {"parallel.ranks=2", "--stop-at=9"})).code == 75);
    CHECK(run_program(runs.train("many")).code == 0);
    check_equal_runs(runs / "one", runs / "many");
}

TEST_CASE("more steps later are one run, if the schedule was given") {
    SmallRuns runs;
    CHECK(run_program(runs.train("whole")).code == 0);
    CHECK(run_program(runs.train("longer", {"train.steps=7"})).code == 0);
    CHECK(run_program(runs.train("longer")).code == 0);
    check_equal_runs(runs / "whole", runs / "longer");
    ProgramResult done = run_program(runs.train("longer"));
    CHECK(done.code == 0);
}

TEST_CASE("a whole step trains on simt, and its loss is the cpu's within rounding") {
    SmallRuns runs;
    Arguments settings{"train.steps=2", "train.log_every=1", "train.eval_every=0", "model.dropout=0", "ffn.expert_dropout=0"};
    REQUIRE(run_program(runs.train("cpu", settings)).code == 0);
    settings.emplace_back("train.device=simt");
    REQUIRE(run_program(runs.train("simt", settings)).code == 0);
    std::vector<nlohmann::json> cpu = metrics_of(runs / "cpu"), simt = metrics_of(runs / "simt");
    REQUIRE(cpu.size() == simt.size());
    for (int step = 0; step < 2; ++step) {
        double a = cpu[static_cast<std::size_t>(step)]["loss"], b = simt[static_cast<std::size_t>(step)]["loss"];
        // A mean of 96 losses of about 5, each of sums of about 50 fp32 terms.
        CHECK(std::abs(a - b) < 1e-5);
    }
}

TEST_CASE("what may not change when a run goes on is refused, naming both values") {
    SmallRuns runs;
    REQUIRE(run_program(runs.train("run", {"--stop-at=2"})).code == 75);
    for (auto [setting, before, now] : {std::array{"train.lr=0.5", "0.01", "0.5"}, std::array{"ffn.k=3", "2", "3"},
                                        std::array{"train.micro_batch=4", "2", "4"}, std::array{"seed=9", "3", "9"}}) {
        ProgramResult result = run_program(runs.train("run", {setting}));
        INFO(result.errors);
        CHECK(result.code == 1);
        CHECK(result.errors.find(std::string("has ") + before + ", now " + now) != std::string::npos);
    }
    CHECK(run_program(runs.train("run", {"train.log_every=1", "train.keep=5"})).code == 0);
}

TEST_CASE("a damaged run is refused with one message, and stays as it is") {
    SmallRuns runs;
    REQUIRE(run_program(runs.train("run", {"--stop-at=4"})).code == 75);
    auto damaged = [&](const std::string& file, const std::string& text) {
        std::string kept;
        {
            std::ifstream in(runs / ("run/" + file), std::ios::binary);
            kept.assign(std::istreambuf_iterator<char>(in), {});
        }
        std::ofstream(runs / ("run/" + file), std::ios::binary) << text;
        ProgramResult result = run_program(runs.train("run"));
        std::ofstream(runs / ("run/" + file), std::ios::binary) << kept;
        INFO(file << ": " << result.errors);
        CHECK(result.code == 1);
        CHECK(result.errors.starts_with("moegrad: ["));
        CHECK(std::count(result.errors.begin(), result.errors.end(), '\n') == 1);
        return result.errors;
    };
    CHECK(damaged("latest", "step-x\n").find("not understood") != std::string::npos);
    CHECK(damaged("latest", "step-7\n").find("not there") != std::string::npos);
    damaged("config.toml", "seed = [");
    for (const char* file : {"state.json", "manifest.json", "model.safetensors", "optimizer-0-of-1.safetensors"}) {
        damaged(std::string("checkpoints/step-4/") + file, "garbage");
        damaged(std::string("checkpoints/step-4/") + file, "");
    }
    CHECK(run_program(runs.train("run")).code == 0);
}

TEST_CASE("impossible configurations get one message and leave nothing behind") {
    SmallRuns runs;
    for (const Arguments& settings :
         {Arguments{"ffn.k=5"}, Arguments{"ffn.method=sigma-mo"}, Arguments{"train.batch=7"}, Arguments{"train.micro_batch=3"},
          Arguments{"parallel.ranks=5"}, Arguments{"model.channels=13"}, Arguments{"data.context=100000"}, Arguments{"model.vocab=20"},
          Arguments{"data.path=nowhere"}, Arguments{"train.accumulate=3"}, Arguments{"ffn.layers=[5]"}, Arguments{"model.kind=gpt"},
          Arguments{"train.lr_scale.values=2"}, Arguments{"ffn.unknown=1"}, Arguments{"train.device=cuda:9"},
          Arguments{"ffn.layers=[0]"}}) {
        ProgramResult result = run_program(runs.train("bad", settings));
        INFO(settings.front() << ": " << result.errors);
        CHECK((result.code == 1 || result.code == 2));
        CHECK(result.errors.starts_with("moegrad: ["));
        CHECK(std::count(result.errors.begin(), result.errors.end(), '\n') == 1);
        CHECK_FALSE(std::filesystem::exists(runs / "bad/checkpoints"));
    }
    CHECK(run_program(runs.train("bad", {"train.steps"})).code == 2);
    CHECK(run_program(runs.train("bad", {"--time-limit=soon"})).code == 2);
}
