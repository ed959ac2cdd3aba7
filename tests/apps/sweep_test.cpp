#include "engine/io/atomic_file.h"
#include "tests/support/messages.h"
#include "tests/support/small_runs.h"

#include <cmath>
#include <csignal>
#include <fstream>

#include <doctest/doctest.h>

using namespace tests;

namespace {

// A sweep file over the small runs' configuration. `file` are keys of the file, `rows` its [[row]]s.
struct SmallSweep {
    SmallRuns runs;
    Arguments write(const std::string& file, const std::string& rows) const {
        std::ofstream(runs / "sweep.toml") << "base = \"" << (runs / "run.toml").string() << "\"\nout = \"" << out().string() << "\"\n"
                                           << file << "\n"
                                           << rows;
        return {"sweep", (runs / "sweep.toml").string()};
    }
    std::filesystem::path out() const { return runs / "out"; }
    nlohmann::json document() const { return nlohmann::json::parse(engine::io::read_file(out() / "sweep.json")); }
    std::string refused(const std::string& file, const std::string& rows) const {
        ProgramResult result = run_program(write(file, rows));
        CHECK(result.code == 1);
        CHECK(std::count(result.errors.begin(), result.errors.end(), '\n') == 1);
        CHECK_FALSE(std::filesystem::exists(out()));
        return result.errors;
    }
};

const std::string kDense = "[[row]]\nname = \"dense\"\nffn = { method = \"dense\", hidden = 24 }\n";
const std::string kSigma = "[[row]]\nname = \"sigma\"\ntolerance = 10\nffn = { method = \"sigma-moe\", n_experts = 4, k = 2 }\n";
const std::string kEqual = "match = \"parameters\"\ntolerance = 5\n";

// Training's records without timings, evaluations of test left out: train makes none.
std::vector<nlohmann::json> training_records(const std::filesystem::path& run) {
    std::vector<nlohmann::json> records = metrics_of(run);
    std::erase_if(records, [](const nlohmann::json& record) { return record.contains("eval") && record["step"] == 12; });
    return records;
}

}  // namespace

TEST_CASE("a sweep finds the width of every kind of method that has the parameters or the FLOPs of the reference") {
    SmallSweep sweep;
    std::string rows = "[[row]]\nname = \"dense\"\nffn = { method = \"dense\", hidden = 400 }\n";
    for (const char* row :
         {"name = \"a\"\nffn = { method = \"sigma-moe\", n_experts = 4, k = 2 }",
          "name = \"b\"\nsolve = \"n_experts\"\nffn = { method = \"switch\", expert_size = 5 }",
          "name = \"c\"\nffn = { method = \"topk\", k = 3 }", "name = \"d\"\nffn = { method = \"lorkm\", rank = 3, k = 4 }",
          "name = \"e\"\ntolerance = 8\nffn = { method = \"pkm\", heads = 2, k = 3, query_size = 6 }",
          "name = \"m\"\nmultiple = 2\nmodel = { kind = \"gmlp\" }\nsolve = \"mixer.hidden\"",
          "name = \"f\"\nmultiple = 8\nffn = { method = \"gshard\", n_experts = 4 }",
          "name = \"g\"\nmatch = \"flops\"\nffn = { method = \"sigma-moe\", n_experts = 4, k = 2 }",
          "name = \"h\"\nmatch = \"flops\"\nreference = \"a\"\nffn = { method = \"dense\" }"}) {
        rows += std::string("[[row]]\n") + row + "\n";
    }
    // A step or none: only what was found matters here.
    Arguments arguments = sweep.write(kEqual + "[train]\nsteps = 1\nschedule_steps = 1\nwarmup = 0\n", rows);
    ProgramResult result = run_program(arguments);
    INFO(result.errors);
    REQUIRE(result.code == 0);
    nlohmann::json document = sweep.document();
    nlohmann::json of;
    for (const nlohmann::json& row : document["rows"]) of[row["name"].get<std::string>()] = row;
    double parameters = of["dense"]["parameters"], flops = of["dense"]["flops_per_token"]["forward"];
    for (const char* name : {"a", "b", "c", "d", "e", "f", "m"}) {
        double difference = 100 * (of[name]["parameters"].get<double>() - parameters) / parameters;
        CHECK(difference == doctest::Approx(of[name]["match"]["difference_percent"].get<double>()));
        CHECK(std::abs(difference) <= 8);
    }
    CHECK(of["a"]["match"]["solved"].contains("ffn.expert_size"));
    CHECK(of["b"]["match"]["solved"].contains("ffn.n_experts"));
    CHECK(of["c"]["match"]["solved"].contains("ffn.hidden"));
    CHECK(of["d"]["match"]["solved"].contains("ffn.cells"));
    CHECK(of["e"]["match"]["solved"].contains("ffn.sub_keys"));
    CHECK(of["f"]["match"]["solved"]["ffn.expert_size"].get<int>() % 8 == 0);
    CHECK(of["g"]["flops_per_token"]["forward"].get<double>() == doctest::Approx(flops).epsilon(0.05));
    CHECK(of["h"]["flops_per_token"]["forward"].get<double>() ==
          doctest::Approx(of["a"]["flops_per_token"]["forward"].get<double>()).epsilon(0.05));
    CHECK(of["dense"]["match"].is_null());
}

TEST_CASE("a sweep's run has the bits of the same run by train, and its results are those of eval") {
    SmallSweep sweep;
    Arguments arguments = sweep.write(kEqual + "lr = [1e-2, 1e-3]\nseeds = [3, 4]\n", kDense + kSigma);
    REQUIRE(run_program(arguments).code == 0);
    nlohmann::json document = sweep.document();
    const nlohmann::json& sigma = document["rows"][1];
    std::string width = sigma["options"]["expert_size"].dump(), rate = sigma["lr"].dump();
    REQUIRE(sigma["runs"].size() == 3);
    REQUIRE(sigma["valid_bits_per_byte"]["values"].size() == 2);
    std::filesystem::path kept = sweep.out() / "sigma" / ("lr-" + rate) / "seed-4";
    Arguments train = sweep.runs.train("by-train", {"ffn.expert_size=" + width, "train.lr=" + rate, "seed=4", "ffn.entropy_weight=0"});
    // A row's ffn begins anew: it has none of the base's options.
    std::string config = engine::io::read_file(kept / "config.toml");
    CHECK(config.find("expert_dropout") == std::string::npos);
    train.insert(train.end(), {"--set", "ffn.expert_dropout=0"});
    REQUIRE(run_program(train).code == 0);
    CHECK(training_records(kept) == training_records(sweep.runs / "by-train"));
    CHECK(tensors_of(kept / "checkpoints/step-12") == tensors_of(sweep.runs / "by-train/checkpoints/step-12"));
    REQUIRE(run_program({"eval", (sweep.runs / "by-train").string(), "--json"}).code == 0);
    std::vector<nlohmann::json> records = metrics_of(sweep.runs / "by-train");
    auto test = std::find_if(records.begin(), records.end(),
                             [](const nlohmann::json& record) { return record.contains("eval") && record["eval"]["split"] == "test"; });
    REQUIRE(test != records.end());
    CHECK((*test)["eval"]["bits_per_byte"] == sigma["test_bits_per_byte"]["values"][1]);
}

TEST_CASE("of several learning rates a sweep keeps the best on valid text, and tries them with the first seed only") {
    SmallSweep sweep;
    REQUIRE(run_program(sweep.write("lr = [1e-2, 1e-9, 5e-3]\nseeds = [1, 2]\n", kDense)).code == 0);
    nlohmann::json row = sweep.document()["rows"][0];
    double best = 1e9, rate = 0;
    int tried = 0;
    for (const nlohmann::json& run : row["runs"]) {
        CHECK(run["state"] == "finished");
        if (run["seed"] == 1) {
            ++tried;
            if (run["valid_bits_per_byte"] < best) best = run["valid_bits_per_byte"], rate = run["lr"];
        }
    }
    CHECK(tried == 3);
    CHECK(row["runs"].size() == 4);
    CHECK(row["lr"] == rate);
    CHECK(row["valid_bits_per_byte"]["values"][0] == best);
    CHECK(rate != 1e-9);
    CHECK(row["test_bits_per_byte"]["mean"].get<double>() > 0);
    CHECK(row["seconds_per_step"].get<double>() > 0);
    CHECK(row["leaks"] == false);
}

TEST_CASE("a sweep killed at any moment goes on to the same results; a finished one trains nothing") {
    SmallSweep whole, killed;
    std::string file = kEqual + "seeds = [1, 2]\n[train]\nsave_every = 1\n";
    REQUIRE(run_process(whole.write(file, kDense + kSigma)) == 0);
    int kills = 0;
    Arguments arguments = killed.write(file, kDense + kSigma);
    for (int life = 0; life < 60; ++life) {
        int code = run_process(arguments, 0.03 + 0.01 * (life % 7), life % 3 == 0 ? SIGTERM : SIGKILL);
        if (code == 0) break;
        CHECK((code == 75 || code == 128 + SIGKILL || code == 128 + SIGTERM));
        ++kills;
    }
    CHECK(kills > 1);
    REQUIRE(run_process(arguments) == 0);
    nlohmann::json a = whole.document()["rows"], b = killed.document()["rows"];
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
        CHECK(a[i]["valid_bits_per_byte"] == b[i]["valid_bits_per_byte"]);
        CHECK(a[i]["test_bits_per_byte"] == b[i]["test_bits_per_byte"]);
    }
    auto written = std::filesystem::last_write_time(killed.out() / "dense/lr-0.01/seed-1/metrics.jsonl");
    ProgramResult again = run_program(arguments);
    CHECK(again.code == 0);
    CHECK(again.errors.empty());
    CHECK(std::filesystem::last_write_time(killed.out() / "dense/lr-0.01/seed-1/metrics.jsonl") == written);
    CHECK(has(engine::io::read_file(killed.out() / "report.html"), "sigma seed 2"));
}

TEST_CASE("SIGTERM and SIGINT stop a sweep with everything saved and exit code 75") {
    for (int signal : {SIGTERM, SIGINT}) {
        SmallSweep sweep;
        Arguments arguments = sweep.write("[train]\nsteps = 100000\nsave_every = 0\neval_every = 0\n", kDense);
        std::filesystem::path run = sweep.out() / "dense/lr-0.01/seed-3";
        CHECK(run_process(arguments, 0.3, signal, run / "metrics.jsonl") == 75);
        CHECK(std::filesystem::exists(run / "latest"));
        CHECK(sweep.document()["rows"][0]["runs"][0]["state"] != "finished");
    }
}

TEST_CASE("shards share the rows; the last one sees all results") {
    SmallSweep sweep;
    Arguments arguments = sweep.write(kEqual, kDense + kSigma);
    auto shard = [&](const char* which) {
        Arguments own = arguments;
        own.insert(own.end(), {"--shard", which});
        return run_program(own).code;
    };
    CHECK(shard("2/2") == 0);
    CHECK_FALSE(std::filesystem::exists(sweep.out() / "dense"));
    CHECK(shard("1/2") == 0);
    for (const nlohmann::json& row : sweep.document()["rows"]) CHECK(row["test_bits_per_byte"]["mean"].is_number());
    CHECK(shard("3/2") == 2);
    CHECK(shard("x") == 2);
}

TEST_CASE("budgets set the steps of each size, and a run that diverges is not trained again") {
    SmallSweep sweep;
    std::string sizes = "[[size]]\nname = \"small\"\nmodel = { channels = 8 }\nreference = { hidden = 16 }\n[[size]]\nname = \"large\"\n";
    std::string file = kEqual + "budgets = [2e7, 4e7]\nlr = [1e-2, 1e3]\n[train]\nclip = 0\nlog_every = 1\n";
    Arguments arguments = sweep.write(file, sizes + kDense);
    REQUIRE(run_program(arguments).code == 0);
    nlohmann::json rows = sweep.document()["rows"];
    REQUIRE(rows.size() == 4);
    for (const nlohmann::json& row : rows) {
        double step = 3 * row["flops_per_token"]["forward"].get<double>() * row["tokens_per_step"].get<double>();
        CHECK(row["steps"].get<double>() == std::round(row["budget"].get<double>() / step));
    }
    CHECK(rows[0]["name"] == "small/flops-2e+07/dense");
    CHECK(rows[0]["options"]["hidden"] == 16);
    CHECK(rows[2]["options"]["hidden"] == 24);
    ProgramResult again = run_program(arguments);
    CHECK(again.code == 0);
    CHECK(again.errors.empty());
}

TEST_CASE("a model without feed-forwards is brought to the reference by its mixer, one with experts by these") {
    SmallSweep sweep;
    std::ofstream(sweep.runs / "mlp.toml") << "seed = 1\n[data]\npath = \"" << (sweep.runs / "data").string()
                                           << "\"\ncontext = 12\n[model]\nchannels = 12\nlayers = 2\n[train]\nsteps = 2\nbatch = 4\n";
    Arguments arguments{"sweep", (sweep.runs / "sweep.toml").string()};
    std::ofstream(sweep.runs / "sweep.toml")
        << "base = \"" << (sweep.runs / "mlp.toml").string() << "\"\nout = \"" << sweep.out().string() << "\"\n"
        << kEqual << "[[row]]\nname = \"gmlp\"\nmodel = { kind = \"gmlp\" }\nmixer = { hidden = 40 }\n"
        << "[[row]]\nname = \"gmlp-tanh\"\nmultiple = 2\nmodel = { kind = \"gmlp\" }\nmixer = { tanh = true }\n"
        << "[[row]]\nname = \"smlp\"\ntolerance = 20\nmodel = { kind = \"smlp\" }\n"
        << "mixer = { hidden = 16, n_experts = 2 }\nffn = { method = \"base\", n_experts = 2 }\n";
    ProgramResult result = run_program(arguments);
    INFO(result.errors);
    REQUIRE(result.code == 0);
    nlohmann::json rows = sweep.document()["rows"];
    CHECK(rows[0]["method"] == "gmlp");
    CHECK(rows[1]["match"]["solved"]["mixer.hidden"] == 40);
    CHECK(rows[2]["match"]["solved"].contains("ffn.expert_size"));
    CHECK(rows[2]["method"] == "smlp with base");
    CHECK(rows[2]["leaks"] == true);
}

TEST_CASE("dry runs and lists write nothing") {
    SmallSweep sweep;
    for (const char* flag : {"--dry-run", "--list"}) {
        Arguments arguments = sweep.write(kEqual, kDense + kSigma);
        arguments.emplace_back(flag);
        CHECK(run_program(arguments).code == 0);
        CHECK_FALSE(std::filesystem::exists(sweep.out()));
    }
}

TEST_CASE("what is wrong in a sweep file is refused in one line before anything is trained, with the nearest name") {
    SmallSweep sweep;
    CHECK(has(sweep.refused("mach = \"flops\"\n", kDense), "did you mean match?"));
    CHECK(has(sweep.refused("seed = 3\n", kDense), "did you mean seeds?"));
    CHECK(has(sweep.refused("[trian]\nsteps = 3\n", kDense), "did you mean train?"));
    CHECK(has(sweep.refused("[train]\nstep = 3\n", kDense), "did you mean train.steps?"));
    CHECK(has(sweep.refused("", kDense + "solv = \"k\"\n"), "did you mean solve?"));
    CHECK(has(sweep.refused("match = \"parameter\"\n", kDense), "did you mean parameters?"));
    CHECK(has(sweep.refused(kEqual + "reference = \"dens\"\n", kDense), "did you mean dense?"));
    CHECK(has(sweep.refused(kEqual, kDense + kDense), "the same name"));
    CHECK(has(sweep.refused(kEqual, kDense + "[[row]]\nffn = { method = \"dense\" }\n"), "needs a name"));
    CHECK(has(sweep.refused(kEqual, kDense + "[[row]]\nname = \"../x\"\n"), "no part of a path"));
    CHECK(has(sweep.refused(kEqual, kDense + "[[row]]\nname = \"b\"\nffn = { method = \"sigma-mo\" }\n"), "sigma-moe"));
    CHECK(has(sweep.refused(kEqual, kDense + "[[row]]\nname = \"b\"\nffn = { method = \"dense\", hidden = 3 }\n"), "which is to be found"));
    CHECK(has(sweep.refused(kEqual, kDense + "[[row]]\nname = \"b\"\nffn = { method = \"switch\", n_expert = 3 }\n"), "n_experts"));
    CHECK(has(sweep.refused("", ""), "has no rows"));
    CHECK(has(sweep.refused("seeds = [1, 1]\n", kDense), "different values"));
    CHECK(has(sweep.refused("seeds = [1.5]\n", kDense), "whole numbers"));
    CHECK(has(sweep.refused("lr = []\n", kDense), "a list"));
    std::string circle =
        "[[row]]\nname = \"b\"\nreference = \"c\"\nffn = { method = \"dense\" }\n[[row]]\nname = \"c\"\nreference = \"b\"\nffn = "
        "{ method = \"dense\" }\n";
    CHECK(has(sweep.refused(kEqual, kDense + circle), "in a circle"));
    std::string coarse = "[[row]]\nname = \"b\"\nmultiple = 64\nffn = { method = \"dense\" }\n";
    CHECK(has(sweep.refused(kEqual, kDense + coarse), "the nearest is ffn.hidden = 64"));
    std::string impossible =
        "[[row]]\nname = \"b\"\nsolve = \"none\"\nffn = { method = \"sigma-moe\", n_experts = 2, expert_size = 3, k = 4 }\n";
    CHECK(has(sweep.refused(kEqual, kDense + impossible), "row b: [ffn] k must be"));
}

TEST_CASE("a sweep whose file changed under a run is refused, naming both values") {
    SmallSweep sweep;
    REQUIRE(run_program(sweep.write("", kDense)).code == 0);
    ProgramResult result = run_program(sweep.write("", "[[row]]\nname = \"dense\"\nffn = { method = \"dense\", hidden = 25 }\n"));
    CHECK(result.code == 1);
    CHECK(has(result.errors, "has 24, now 25"));
}
