// apps/configs: every recipe builds, and has the parameters of the paper that it is named after.
#include "apps/plan.h"
#include "apps/sweep_file.h"

#include <cmath>
#include <filesystem>

#include <doctest/doctest.h>

using apps::Size;

namespace {

std::vector<std::filesystem::path> files_in(const char* folder) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.path().extension() == ".toml") files.push_back(entry.path());
    }
    CHECK_FALSE(files.empty());
    return files;
}

Size parameters(const apps::Config& config) { return apps::count_model(config, config.model.vocab.value_or(256)).parameters; }

apps::SweepFile table(const std::string& name) { return apps::load_sweep("apps/configs/tables/" + name + ".toml"); }

Size parameters(const std::string& table_name, const std::string& row_name) {
    for (const apps::SweepRow& row : table(table_name).rows) {
        if (row.name == row_name) return parameters(row.configs.front());
    }
    FAIL(table_name << " has no row " << row_name);
    return 0;
}

}  // namespace

TEST_CASE("every recipe builds, and every row of every table at every size") {
    for (const auto& file : files_in("apps/configs")) {
        INFO(file.string());
        CHECK(parameters(apps::load_config(file)) > 0);
    }
    for (const auto& file : files_in("apps/configs/tables")) {
        for (const apps::SweepRow& row : apps::load_sweep(file).rows) {
            INFO(file.string() << ", " << row.name);
            for (const apps::Config& config : row.configs) {
                if (row.solve.empty()) CHECK(parameters(config) > 0);
            }
        }
    }
}

TEST_CASE("the σ-MoE paper's PKM models have the parameters of its code, less one unused scalar a layer") {
    // sigma-moe.md 3.1: counted exactly where parameters are matched, to 0.1 million where values are.
    CHECK(parameters("sigma-moe-2-wt-s", "relu-parameters") == 47'128'408 - 16);
    CHECK(parameters("sigma-moe-2-wt-b", "relu-parameters") == 263'438'180 - 18);
    CHECK(parameters("sigma-moe-2-e8", "relu-parameters") == 41'117'925 - 12);
    CHECK(std::abs(static_cast<double>(parameters("sigma-moe-2-wt-s", "relu-values")) / 1e6 - 35.3) <= 0.05);
    CHECK(std::abs(static_cast<double>(parameters("sigma-moe-2-wt-b", "relu-values")) / 1e6 - 191.1) <= 0.05);
    CHECK(std::abs(static_cast<double>(parameters("sigma-moe-2-e8", "relu-values")) / 1e6 - 30.1) <= 0.05);
    // The softmax rows pay for a query that the paper's do not have.
    for (const char* model : {"wt-s", "wt-b", "e8"}) {
        std::string name = std::string("sigma-moe-2-") + model;
        double released = static_cast<double>(parameters(name, "relu-parameters"));
        CHECK(std::abs(static_cast<double>(parameters(name, "softmax-parameters")) / released - 1) < 0.015);
    }
}

TEST_CASE("all rows of the σ-MoE paper's tables 4 and 10 have the same cells: their models differ by their routers only") {
    for (auto [model, released, layers] :
         {std::tuple{"e8", 41'240'805, 12}, {"wt-s", 47'260'248, 16}, {"wt-s-star", 237'004'376, 16}, {"wt-b", 262'461'284, 18}}) {
        apps::SweepFile file = table(std::string("sigma-moe-4-") + model);
        CHECK(file.rows.size() >= 11);
        for (const apps::SweepRow& row : file.rows) {
            INFO(model << ", " << row.name);
            const apps::Config& config = row.configs.front();
            Size experts = config.ffn.options.size("n_experts"), first = file.rows.front().configs.front().ffn.options.size("n_experts");
            CHECK(parameters(config) == released - layers + layers * *config.model.channels * (experts - first));
        }
    }
}

TEST_CASE("the models of C4 and peS2o are those of WikiText-103, and the top-K rows those of the dense twin") {
    for (const char* data : {"c4", "pes2o"}) {
        std::string name = std::string("sigma-moe-5-") + data;
        CHECK(parameters(name + "-s", "dense") == 47'260'136 - 16);
        CHECK(parameters(name + "-s", "sigma-moe") == 47'260'248 - 16);
        CHECK(parameters(name + "-b", "dense") == 262'479'968 - 18);
        CHECK(parameters(name + "-b", "sigma-moe") == 262'461'284 - 18);
    }
    for (auto [model, released] : {std::pair{"e8", 41'234'721 - 12}, {"wt-s", 47'260'136 - 16}, {"wt-b", 262'479'968 - 18}}) {
        for (const apps::SweepRow& row : table(std::string("sigma-moe-1-") + model).rows)
            CHECK(parameters(row.configs.front()) == released);
    }
}

TEST_CASE("gMLP's three models have the parameters of its paper, and sMLP's experts over positions cost no FLOPs") {
    struct Row {
        const char *layers, *channels, *hidden;
        double millions;
    };
    for (const Row& row : {Row{"48", "512", "3072", 130}, {"96", "768", "3072", 365}, {"144", "1024", "4096", 941}}) {
        apps::Config config = apps::load_config("apps/configs/gmlp-base.toml");
        apps::set_config(config, std::string("model.layers=") + row.layers);
        apps::set_config(config, std::string("model.channels=") + row.channels);
        apps::set_config(config, std::string("mixer.hidden=") + row.hidden);
        INFO(parameters(config));
        // To a million; the paper does not say what it counts beside the blocks.
        CHECK(std::abs(static_cast<double>(parameters(config)) / 1e6 - row.millions) < 1);
    }
    apps::Config sparse = apps::load_config("apps/configs/smlp-small.toml"), dense = sparse;
    apps::set_config(dense, "mixer.n_experts=1");
    CHECK(parameters(sparse) - parameters(dense) == 6 * 7 * (512 * 512 + 512));
    CHECK(apps::count_model(sparse, 50257).flops_per_token.forward == apps::count_model(dense, 50257).flops_per_token.forward);
}
