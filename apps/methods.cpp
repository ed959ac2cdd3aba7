// moegrad methods: the table of moe/methods, each row built at one width and counted.
#include "apps/command.h"
#include "apps/option_checks.h"
#include "apps/text_table.h"
#include "engine/base/error.h"
#include "moe/methods/table.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

namespace apps {
namespace {

using moe::part_name;
using nn::Size;

struct MethodsOptions {
    Size width = 512, hidden = 0, experts = 16, expert_size = 0, k = 4;  // 0: 4C, C/4
    bool json = false;
};

// What every method may ask for; each takes what it knows.
nn::OptionTable sizes_for(const MethodsOptions& wanted) {
    Size C = wanted.width, F = wanted.hidden > 0 ? wanted.hidden : 4 * C;
    nn::OptionTable sizes("methods");
    sizes.offer("hidden", F);
    sizes.offer("n_experts", wanted.experts);
    sizes.offer("expert_size", wanted.expert_size > 0 ? wanted.expert_size : std::max<Size>(1, C / 4));
    sizes.offer("k", wanted.k);
    sizes.offer("cells", F);
    sizes.offer("rank", std::max<Size>(1, C / 4));
    sizes.offer("sub_keys", static_cast<Size>(std::ceil(std::sqrt(static_cast<double>(F)))));
    sizes.offer("heads", Size{4});
    sizes.offer("query_size", std::max<Size>(2, C / 4 * 2));
    sizes.offer("vocab", Size{8000});
    sizes.offer("context", Size{256});
    return sizes;
}

struct MethodRow {
    const moe::Method& method;
    Size parameters = 0;
    nn::FeedForward::Flops flops;
};

std::vector<MethodRow> rows_at(const MethodsOptions& wanted) {
    nn::OptionTable sizes = sizes_for(wanted), mixers = sizes;
    // Their hidden values divide into chunks of two halves.
    Size unit = 2 * wanted.experts;
    mixers.offer("hidden", (sizes.size("hidden") + unit - 1) / unit * unit);
    std::vector<MethodRow> rows;
    for (const moe::Method& method : moe::methods()) {
        auto layer = moe::make_feed_forward(method, moe::is_mixer(method) ? mixers : sizes, {.channels = wanted.width});
        std::vector<nn::Parameter*> parameters;
        std::vector<nn::State*> states;
        layer->collect("", parameters, states);
        MethodRow row{method, 0, layer->flops_per_row()};
        for (const nn::Parameter* parameter : parameters) row.parameters += parameter->shape.elements();
        rows.push_back(row);
    }
    return rows;
}

nlohmann::ordered_json document(const std::vector<MethodRow>& rows) {
    auto list = nlohmann::ordered_json::array();
    for (const MethodRow& row : rows) {
        list.push_back({{"name", row.method.name},
                        {"formula", row.method.formula},
                        {"selector", part_name(row.method.selector)},
                        {"gate", part_name(row.method.gate)},
                        {"memory", part_name(row.method.memory)},
                        {"balance", part_name(row.method.balance)},
                        {"parameters", row.parameters},
                        {"flops", std::llround(row.flops.forward)},
                        {"selector_flops", std::llround(row.flops.selector)},
                        {"source", row.method.source}});
    }
    return list;
}

std::string table_text(const std::vector<MethodRow>& rows) {
    TextTable table({"name", "selector", "gate", "memory", "balance", "parameters", "FLOPs", "to choose", "formula", "source"});
    for (const MethodRow& row : rows) {
        table.add({std::string(row.method.name), std::string(part_name(row.method.selector)), std::string(part_name(row.method.gate)),
                   std::string(part_name(row.method.memory)), std::string(part_name(row.method.balance)), fmt::format("{}", row.parameters),
                   fmt::format("{:.0f}", row.flops.forward), fmt::format("{:.0f}", row.flops.selector), std::string(row.method.formula),
                   std::string(row.method.source)});
    }
    return table.text();
}

int print_methods(const MethodsOptions& wanted) {
    std::vector<MethodRow> rows;
    try {
        rows = rows_at(wanted);
    } catch (const engine::Error& error) { throw engine::UsageError(error.what()); }
    if (wanted.json) {
        std::cout << document(rows).dump(2) << std::endl;
        return kDone;
    }
    std::cout << table_text(rows)
              << fmt::format("\nOne layer at C = {}. FLOPs: 2 a multiply-add, per token, forward, with what is spent to choose.\n",
                             wanted.width);
    std::cout.flush();
    return kDone;
}

}  // namespace

std::function<int()> add_methods(CLI::App& app) {
    auto wanted = std::make_shared<MethodsOptions>();
    auto size = [&](const char* name, Size& to, const char* help) {
        app.add_option(name, to, help)->check(between(Size{1}, Size{1} << 20));
    };
    size("--width", wanted->width, "channels C (512)");
    size("--hidden", wanted->hidden, "cells of a dense block F (4C)");
    size("--n-experts", wanted->experts, "experts E (16)");
    size("--expert-size", wanted->expert_size, "cells of an expert G (C/4)");
    size("--k", wanted->k, "chosen per token K (4)");
    app.add_flag("--json", wanted->json, "print one JSON document");
    return [wanted] { return print_methods(*wanted); };
}

}  // namespace apps
