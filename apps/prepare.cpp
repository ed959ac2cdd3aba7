#include "data/prepare.h"

#include "apps/byte_progress.h"
#include "apps/command.h"
#include "apps/elapsed.h"
#include "apps/signals.h"
#include "data/error.h"
#include "data/tokenizer.h"
#include "engine/base/error.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>

namespace apps {
namespace {

void check_tokenizer(const std::string& name) {
    std::vector<std::string> built = data::tokenizer_names();
    if (std::find(built.begin(), built.end(), name) != built.end()) return;
    throw engine::UsageError(fmt::format("[prepare] tokenizer not built yet: got {}, expected {}", name, fmt::join(built, " or ")));
}

void print_summary(const data::Manifest& manifest, const std::filesystem::path& out, double seconds) {
    std::int64_t bytes = 0;
    std::cout << fmt::format("{:<7}{:>12}{:>16}{:>16}{:>14}{:>9}\n", "split", "documents", "bytes", "tokens", "words", "share");
    for (const data::SplitTotals& totals : manifest.splits) bytes += totals.bytes;
    for (std::size_t i = 0; i < data::kSplits; ++i) {
        const data::SplitTotals& totals = manifest.splits[i];
        std::cout << fmt::format("{:<7}{:>12}{:>16}{:>16}{:>14}{:>8.2f}%\n", data::kSplitNames[i], totals.documents, totals.bytes,
                                 totals.tokens, totals.words, 100.0 * static_cast<double>(totals.bytes) / static_cast<double>(bytes));
    }
    std::cout << fmt::format("split {}; tokenizer {}, vocabulary {}\n", manifest.split_rule,
                             manifest.tokenizer.at("name").get<std::string>(), manifest.tokenizer.at("vocab").get<int>());
    std::cout << fmt::format("{} in {:.2f} s, {}/s: {}\n", bytes_text(static_cast<double>(bytes)), seconds,
                             bytes_text(static_cast<double>(bytes) / std::max(seconds, 1e-9)), out.string());
    std::cout.flush();
}

int run_prepare(data::PrepareOptions options) {
    check_tokenizer(options.tokenizer);
    watch_signals();
    ByteProgress bar;
    auto begin = std::chrono::steady_clock::now();
    options.progress = [&bar](const data::PrepareProgress& progress) {
        if (stop_was_asked()) data::fail("prepare", "stopped; nothing was written");
        bar.show(progress.pass == 1 ? "reading" : "writing", progress.done, progress.of, progress.text_bytes);
    };
    data::Manifest manifest;
    try {
        manifest = data::prepare(options);
    } catch (...) {
        bar.end();
        throw;
    }
    bar.end();
    print_summary(manifest, options.out, seconds_since(begin));
    return kDone;
}

}  // namespace

std::function<int()> add_prepare(CLI::App& app) {
    auto options = std::make_shared<data::PrepareOptions>();
    app.add_option("PATH", options->paths, "files, folders, JSON lines (.jsonl), archives (.tar); .gz and .zst are unpacked")->required();
    app.add_option("--tokenizer", options->tokenizer, "bytes, or bytes-seen: only the bytes that occur")->required();
    app.add_option("--out", options->out, "folder of the store")->required();
    app.add_flag("--force", options->replace, "replace the store that stands there");
    return [options] { return run_prepare(*options); };
}

}  // namespace apps
