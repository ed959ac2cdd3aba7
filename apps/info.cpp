#include "apps/command.h"
#include "engine/base/cpu_level.h"
#include "engine/base/device_tags.h"
#include "engine/base/error.h"
#include "engine/cuda/runtime.h"
#include "engine/tensor/tensor.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

namespace apps {
namespace {

std::vector<std::string> device_names() {
    std::vector<std::string> names{"cpu", "simt"};
    for (int i = 0; i < engine::cuda::device_count(); ++i) names.push_back(fmt::format("cuda:{}", i));
    return names;
}

std::vector<std::string> compiled_levels() {
    std::vector<std::string> levels;
#ifdef MOEGRAD_LEVEL_base
    levels.emplace_back("base");
#endif
#ifdef MOEGRAD_LEVEL_avx2
    levels.emplace_back("avx2");
#endif
#ifdef MOEGRAD_LEVEL_avx512
    levels.emplace_back("avx512");
#endif
    return levels;
}

nlohmann::ordered_json describe() {
    nlohmann::ordered_json info;
    info["version"] = MOEGRAD_VERSION;
    info["devices"] = device_names();
    info["build"] = {{"compiler", "g++ " __VERSION__}, {"cuda", engine::kCudaBuilt}, {"cpu_levels", compiled_levels()}};
    info["cpu_isa"] = engine::cpu_isa();
    info["cores"] = std::thread::hardware_concurrency();
    info["limits"] = {{"dimensions", engine::Shape::kMaxDims}};
    return info;
}

int print_info(bool as_json) {
    nlohmann::ordered_json info = describe();
    if (as_json) {
        std::cout << info.dump(2) << std::endl;
        return kDone;
    }
    for (const auto& [name, value] : info.items()) {
        std::cout << fmt::format("{:<10}", name) << (value.is_string() ? value.get<std::string>() : value.dump()) << "\n";
    }
    std::cout.flush();
    return kDone;
}

}  // namespace

std::function<int()> add_info(CLI::App& app) {
    auto as_json = std::make_shared<bool>(false);
    app.add_flag("--json", *as_json, "print one JSON document");
    return [as_json] { return print_info(*as_json); };
}

}  // namespace apps
