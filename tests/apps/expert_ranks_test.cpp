// Experts divided among ranks (parallel.expert), as a user would train with them.
#include "tests/support/many_ranks.h"
#include "tests/support/text_files.h"

#include <doctest/doctest.h>

using namespace tests;

namespace {

// 4 experts, 8 sequences a step in 8 micro-shards.
const Arguments kSettings{"train.micro_batch=1", "train.batch=8"};

Arguments with(Arguments settings, const Arguments& more) {
    settings.insert(settings.end(), more.begin(), more.end());
    return settings;
}

Arguments layout(int ranks, int expert, int zero) {
    return {"parallel.ranks=" + std::to_string(ranks), "parallel.expert=" + std::to_string(expert),
            "parallel.zero=" + std::to_string(zero)};
}

void set_experts(const SmallRuns& runs, const std::string& more) { runs.set_feed_forward("n_experts = 4\nexpert_size = 6\n" + more); }

}  // namespace

TEST_CASE("training, evaluations, samples, balance and routing with experts over ranks equal those of one rank") {
    for (const std::string& method : {std::string("method = \"sigma-moe\"\nk = 2\nentropy_weight = 0.01\nexpert_dropout = 0.1\n"),
                                      std::string("method = \"gshard\"\n"), std::string("method = \"s-base\"\nk = 2\n")}) {
        CAPTURE(method);
        SmallRuns runs;
        set_experts(runs, method);
        REQUIRE(run_program(runs.train("one", kSettings)).code == 0);
        for (auto [ranks, expert] : {std::pair{2, 2}, std::pair{4, 2}, std::pair{8, 4}}) {
            std::string out = std::to_string(ranks) + "-" + std::to_string(expert);
            CAPTURE(out);
            CHECK(run_program(runs.train(out, with(kSettings, layout(ranks, expert, ranks / 4 % 2)))).code == 0);
            check_equal_runs(runs / "one", runs / out);
            for (const char* file : {"moe.jsonl", "samples/step-12.txt"})
                CHECK(read_text(runs / ("one/" + std::string(file))) == read_text(runs / (out + "/" + file)));
        }
    }
}

TEST_CASE("the CUDA sources share experts among virtual ranks, too, run thread by thread") {
    SmallRuns runs;
    const Arguments settings = with(kSettings, {"train.device=simt", "train.steps=2", "train.save_every=0", "train.eval_every=0"});
    REQUIRE(run_program(runs.train("one", settings)).code == 0);
    for (int zero : {0, 1}) {
        std::string out = "shared" + std::to_string(zero);
        CHECK(run_program(runs.train(out, with(settings, layout(4, 2, zero)))).code == 0);
        check_equal_runs(runs / "one", runs / out, 2);
    }
}

TEST_CASE("ranks that are processes share experts, too, over TCP and MPI") {
    SmallRuns runs;
    REQUIRE(run_program(runs.train("one", kSettings)).code == 0);
    for (const std::string& over : ways_to_launch()) {
        for (int ranks : {2, 4}) {
            CAPTURE(over);
            CAPTURE(ranks);
            std::string out = over + std::to_string(ranks);
            ProgramResult result =
                RunningProgram(on_ranks(ranks, runs.train(out, with(kSettings, {"parallel.expert=2", "--check-ranks=3"})), over)).wait();
            CHECK_MESSAGE(result.code == 0, result.errors);
            check_equal_runs(runs / "one", runs / out);
        }
    }
}

TEST_CASE("a run goes on in any other layout of its experts") {
    for (const char* dtype : {"train.dtype=bfloat16", "train.dtype=float64"}) {
        SmallRuns runs;
        Arguments settings = with(kSettings, {dtype, "model.tied=true"});
        REQUIRE(run_program(runs.train("one", settings)).code == 0);
        const std::vector<Arguments> layouts{layout(2, 2, 0), layout(1, 1, 0), layout(4, 4, 1),
                                             layout(8, 2, 1), layout(3, 1, 1), layout(4, 2, 0)};
        for (std::size_t i = 0; i < layouts.size(); ++i) {
            Arguments stop{"--stop-at=" + std::to_string(2 * (i + 1) - 1)};
            CHECK(run_program(runs.train("changing", with(settings, with(layouts[i], stop)))).code == 75);
        }
        CHECK(run_program(runs.train("changing", with(settings, layout(2, 2, 1)))).code == 0);
        check_equal_runs(runs / "one", runs / "changing");
    }
}

TEST_CASE("experts that ranks cannot share are refused before anything is made") {
    SmallRuns runs;
    auto refused = [&](const Arguments& settings) {
        ProgramResult result = run_program(runs.train("out", with(kSettings, settings)));
        CHECK(result.code == 1);
        CHECK(!std::filesystem::exists(runs / "out/checkpoints"));
        return result.errors;
    };
    auto says = [](const std::string& errors, const std::string& words) { CHECK_MESSAGE(errors.find(words) != std::string::npos, errors); };
    says(refused({"parallel.expert=2"}), "got parallel.expert = 2 for 1 ranks and 4 experts; hint: set parallel.expert to 1");
    says(refused(layout(8, 8, 0)), "got parallel.expert = 8 for 8 ranks and 4 experts; hint: set parallel.expert to 4");
    says(refused({"train.micro_batch=1", "train.batch=6", "parallel.ranks=4", "parallel.expert=2"}),
         "must hold a whole subtree of the 6 micro-shards");
    runs.set_feed_forward("method = \"dense\"\nhidden = 20\n");
    says(refused(layout(2, 2, 0)), "dense has none that can be");
    runs.set_feed_forward("method = \"sigma-moe\"\nn_experts = 16\nexpert_size = 1\nk = 2\n");
    says(refused(layout(2, 2, 0)), "sigma-moe has none that can be");
}

TEST_CASE("plan counts a rank's share of the experts, and what their rows send") {
    SmallRuns runs;
    auto planned = [&](const Arguments& settings) {
        Arguments words{"plan", "-c", (runs / "run.toml").string(), "--json"};
        for (const std::string& setting : with(kSettings, settings)) words.insert(words.end(), {"--set", setting});
        return nlohmann::json::parse(run_program(words).output);
    };
    nlohmann::json whole = planned(layout(4, 1, 0)), shared = planned(layout(4, 4, 0));
    CHECK(shared["parameters"] == whole["parameters"]);
    // Two layers of 4 experts, (12,5) and (5,12), rows of 12 padded to 16 and parameters to 16 elements, in fp32.
    CHECK(whole["memory_bytes"]["parameters"].get<long>() - shared["memory_bytes"]["parameters"].get<long>() ==
          2 * ((4 * 60 - 64) + (4 * 80 - 80)) * 4);
    CHECK(whole["communication_bytes"]["exchanges"] == 0);
    CHECK(shared["communication_bytes"]["exchanges"].get<long>() > 0);
}
