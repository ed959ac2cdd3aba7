#include "apps/command.h"
#include "apps/report_page.h"
#include "apps/report_summary.h"
#include "engine/io/atomic_file.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include <fmt/format.h>

namespace apps {
namespace {

struct CompareOptions {
    std::vector<std::filesystem::path> runs;
    std::filesystem::path out = "report.html";
};

int compare(const CompareOptions& options) {
    std::vector<RunReport> runs;
    for (const std::filesystem::path& folder : options.runs) runs.push_back(read_run(folder));
    std::vector<std::string> names = short_names(options.runs);
    for (std::size_t i = 0; i < runs.size(); ++i) {
        runs[i].name = names[i];
        for (const std::string& problem : runs[i].problems) std::cerr << fmt::format("{}: {}\n", runs[i].name, problem);
    }
    engine::io::write_file(options.out, report_page(runs));
    std::cout << fmt::format("{}\nreport: {}\n", verdict(runs), options.out.string()) << std::flush;
    return kDone;
}

}  // namespace

std::function<int()> add_compare(CLI::App& app) {
    auto options = std::make_shared<CompareOptions>();
    app.add_option("RUN", options->runs, "folders of runs; the first is what the others are measured against")->required();
    app.add_option("--out", options->out, "the report, one HTML file")->capture_default_str();
    return [options] { return compare(*options); };
}

}  // namespace apps
