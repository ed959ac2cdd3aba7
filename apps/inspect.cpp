// moegrad inspect: what a run's newest checkpoint holds, and how it chooses.
#include "apps/command.h"
#include "apps/inspection.h"
#include "apps/model_factory.h"
#include "apps/option_checks.h"
#include "engine/base/error.h"
#include "engine/io/atomic_file.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

namespace apps {
namespace {

struct InspectArguments {
    RunArguments run;
    std::string data, split = "valid", out;
    Size tokens = 131072;
    bool as_json = false;
};

int run_inspect(const InspectArguments& arguments) {
    LoadedRun run(arguments.run);
    Inspection inspection{.name = run.folder.name(), .path = run.folder.path().string(), .step = run.step};
    inspection.method = method_name(run.config);
    inspection.notes = leak_notes(run.config);
    inspection.tensors = tensor_facts(run.folder.checkpoint(run.step));
    std::string path = arguments.data.empty() ? run.config.data.path : arguments.data;
    if (arguments.data.empty() && !fs::exists(path)) {
        // The tensors are worth a look without the text.
        inspection.notes.push_back(fmt::format("its data are not here, so nothing is known of its choices: {}; hint: --data", path));
    } else {
        data::TokenStore store(path);
        engine::expect(store.vocab() <= run.vocab, "inspect", "the data have more token kinds than the model: got {}, expected at most {}",
                       store.vocab(), run.vocab);
        inspection.routing = routing_facts(run, store, arguments.split, arguments.tokens);
    }
    if (!arguments.out.empty()) {
        engine::io::write_file(arguments.out, inspection_page(inspection));
        fmt::print(stderr, "page: {}\n", arguments.out);
    }
    std::cout << (arguments.as_json ? inspection_json(inspection).dump(2) + "\n" : inspection_text(inspection)) << std::flush;
    return kDone;
}

}  // namespace

std::function<int()> add_inspect(CLI::App& app) {
    auto arguments = std::make_shared<InspectArguments>();
    add_run_arguments(app, arguments->run);
    app.add_option("--data", arguments->data, "folder made by moegrad prepare (default: the run's)");
    app.add_option("--split", arguments->split, "train, valid or test")
        ->check(CLI::IsMember({"train", "valid", "test"}))
        ->capture_default_str();
    app.add_option("--tokens", arguments->tokens, "how many are read at least; 0: the whole split")
        ->check(not_negative())
        ->capture_default_str();
    app.add_option("--out", arguments->out, "a page of it, one HTML file");
    app.add_flag("--json", arguments->as_json, "print one JSON document");
    return [arguments] { return run_inspect(*arguments); };
}

}  // namespace apps
