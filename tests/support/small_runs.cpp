#include "tests/support/small_runs.h"

#include "data/prepare.h"
#include "engine/base/philox.h"
#include "engine/io/safetensors.h"
#include "tests/support/text_files.h"

#include <fstream>
#include <set>

#include <doctest/doctest.h>

namespace tests {

namespace fs = std::filesystem;

SmallRuns::SmallRuns() {
    static const char* kWords[] = {"the ", "moon ", "rose ", "over ", "a ", "quiet ", "sea, ", "and ", "no ", "one ", "spoke.\n", "then "};
    std::ofstream text(folder_ / "text.txt");
    for (std::uint64_t i = 0; i < 3000; ++i) text << kWords[engine::random_bits(7, 0, 1, i) % std::size(kWords)];
    text.close();
    data::PrepareOptions options;
    options.paths = {folder_ / "text.txt"};
    options.out = folder_ / "data";
    data::prepare(options);
    std::ofstream(folder_ / "run.toml") << "seed = 3\n[data]\npath = \"" << (folder_ / "data").string() << R"("
context = 12
[model]
kind = "transformer-xl"
channels = 12
layers = 2
heads = 2
head_size = 6
dropout = 0.1
[ffn]
method = "sigma-moe"
n_experts = 4
expert_size = 5
k = 2
entropy_weight = 0.01
expert_dropout = 0.2
[train]
steps = 12
batch = 8
micro_batch = 2
lr = 1e-2
warmup = 3
schedule_steps = 9
clip = 0.5
weight_decay = 0.01
log_every = 2
eval_every = 5
save_every = 4
threads = 1
[eval]
streams = 2
)";
}

void SmallRuns::set_model(const std::string& lines) const { replace("[model]", lines); }
void SmallRuns::set_feed_forward(const std::string& lines) const { replace("[ffn]", "[ffn]\n" + lines); }

void SmallRuns::replace(const std::string& section, const std::string& lines) const {
    std::string toml = read_text(folder_ / "run.toml");
    std::size_t begin = toml.find(section), end = toml.find("[train]");
    std::ofstream(folder_ / "run.toml") << toml.replace(begin, end - begin, lines + "\n");
}

Arguments SmallRuns::train(const std::string& out, const Arguments& settings) const {
    Arguments arguments{"train", "-c", (folder_ / "run.toml").string(), "--out", (folder_ / out).string()};
    for (const std::string& setting : settings) {
        if (!setting.starts_with("--")) arguments.emplace_back("--set");
        arguments.push_back(setting);
    }
    return arguments;
}

std::vector<nlohmann::json> metrics_of(const fs::path& run) {
    std::vector<nlohmann::json> records;
    for (const char* file : {"metrics.jsonl", "moe.jsonl"}) {
        std::ifstream in(run / file);
        for (std::string line; std::getline(in, line);) {
            nlohmann::json record = nlohmann::json::parse(line);
            record.erase("seconds");
            record.erase("tokens_per_second");
            records.push_back(record);
        }
    }
    return records;
}

std::map<std::string, std::vector<double>> tensors_of(const fs::path& checkpoint) {
    std::map<std::string, std::vector<double>> tensors;
    // In the order of ranks: 2 before 10.
    std::set<std::pair<std::size_t, fs::path>> files;
    for (const auto& entry : fs::directory_iterator(checkpoint)) {
        if (entry.path().extension() == ".safetensors") files.emplace(entry.path().string().size(), entry.path());
    }
    auto model = engine::io::SafetensorsFile::open(checkpoint / "model.safetensors");
    std::map<std::string, std::size_t> columns_before;  // of moments whose pieces stand side by side
    for (const auto& [length, path] : files) {
        auto file = engine::io::SafetensorsFile::open(path);
        std::string name_of_file = path.filename().string();
        std::string key = name_of_file.starts_with("optimizer-") ? "optimizer" : name_of_file;
        for (const std::string& name : file.names()) {
            std::vector<double>& whole = tensors[key + " " + name];
            auto append = [&](const auto& piece) { whole.insert(whole.end(), piece.begin(), piece.end()); };
            engine::Shape shape = file.shape(name), all = name.starts_with("moment") ? model.shape(name.substr(8)) : shape;
            if (shape.dims() == 2 && shape.columns() < all.columns()) {
                std::vector<double> piece = file.read<double>(name);
                auto columns = static_cast<std::size_t>(shape.columns()), width = static_cast<std::size_t>(all.columns());
                whole.resize(static_cast<std::size_t>(all.elements()));
                for (std::size_t i = 0; i < piece.size(); ++i) whole[i / columns * width + columns_before[name] + i % columns] = piece[i];
                columns_before[name] += columns;
                continue;
            }
            engine::is_floating(file.dtype(name)) ? append(file.read<double>(name)) : append(file.read<std::int32_t>(name));
        }
    }
    return tensors;
}

void check_equal_runs(const fs::path& a, const fs::path& b, int step) {
    std::string checkpoint = "checkpoints/step-" + std::to_string(step);
    CHECK(metrics_of(a) == metrics_of(b));
    CHECK(tensors_of(a / checkpoint) == tensors_of(b / checkpoint));
}

void check_stops_and_ranks(const SmallRuns& runs, const Arguments& settings, const Arguments& stops) {
    auto train = [&](const std::string& out, const Arguments& more = {}) {
        Arguments all = settings;
        all.insert(all.end(), more.begin(), more.end());
        return run_program(runs.train(out, all));
    };
    ProgramResult whole = train("whole");
    INFO(whole.errors);
    REQUIRE(whole.code == 0);
    for (const std::string& stop : stops) CHECK(train("parts", {stop}).code == 75);
    CHECK(train("parts").code == 0);
    check_equal_runs(runs / "whole", runs / "parts");
    for (const char* ranks : {"parallel.ranks=2", "parallel.ranks=4"}) {
        CHECK(train(ranks, {ranks}).code == 0);
        check_equal_runs(runs / "whole", runs / ranks);
    }
}

}  // namespace tests
