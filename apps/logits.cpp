#include "apps/command.h"
#include "apps/loaded_run.h"
#include "apps/model_factory.h"
#include "engine/base/error.h"
#include "engine/io/safetensors.h"
#include "engine/tensor/transfer.h"
#include "nn/evaluation.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

namespace apps {
namespace {

using namespace engine;

struct LogitsArguments {
    RunArguments run;
    std::string in, out;
    bool memory = false;
};

// Logits of every position (B,T,V), in f32, and the mean loss of predicting ids[:,1:].
int run_logits(const LogitsArguments& arguments) {
    LoadedRun run(arguments.run);
    io::SafetensorsFile file = io::SafetensorsFile::open(arguments.in);
    expect(file.names() == std::vector<std::string>{"ids"}, "logits", "{} must hold one tensor, ids (B,T)", file.path());
    Shape shape = file.shape("ids");
    expect(shape.dims() == 2 && shape[0] > 0 && shape[1] > 0, "logits", "ids has the wrong shape: got {}, expected (B,T)", shape.text());
    std::vector<std::int32_t> ids = file.read<std::int32_t>("ids");
    Size B = shape[0], T = shape[1], V = run.vocab;
    std::vector<float> logits;
    logits.reserve(static_cast<std::size_t>(B * T * V));
    std::vector<std::int32_t> targets(ids.size(), -1);
    for (Size i = 0; i + 1 < B * T; ++i) {
        bool last_of_row = (i + 1) % T == 0;
        if (!last_of_row) targets[static_cast<std::size_t>(i)] = ids[static_cast<std::size_t>(i + 1)];
    }
    // Rows of one stream go one after another; independent rows together.
    Size rows = arguments.memory ? 1 : B;
    nn::ModelMemory memory{.limit = arguments.memory ? evaluation_memory(run.config) : 0};
    nn::EvaluationSums sums;
    for (Size first = 0; first < B; first += rows) {
        auto part = [&](const std::vector<std::int32_t>& all) {
            auto begin = all.begin() + static_cast<std::ptrdiff_t>(first * T);
            return from_host(run.exec, {rows, T}, Dtype::i32,
                             std::vector<std::int32_t>(begin, begin + static_cast<std::ptrdiff_t>(rows * T)));
        };
        // Positions of partial prediction's prefix carry no loss.
        for (Size row = first; row < first + rows; ++row) {
            Size unscored = std::clamp<Size>(run.model->prefix() - memory.positions(), 0, T);
            std::fill_n(targets.begin() + row * T, unscored, -1);
        }
        Tensor window_logits;
        nn::EvaluationSums window = nn::evaluate_window(run.exec, *run.model, part(ids), part(targets), memory, &window_logits);
        sums.nats += window.nats;
        sums.tokens += window.tokens;
        std::vector<float> values = to_host<float>(run.exec, window_logits);
        logits.insert(logits.end(), values.begin(), values.end());
    }
    io::SafetensorsWriter writer;
    writer.add("logits", {B, T, V}, std::move(logits));
    writer.add("loss", {1}, std::vector<float>{sums.tokens > 0 ? static_cast<float>(sums.nats / static_cast<double>(sums.tokens)) : 0.0f});
    writer.write(arguments.out);
    return kDone;
}

}  // namespace

std::function<int()> add_logits(CLI::App& app) {
    auto arguments = std::make_shared<LogitsArguments>();
    add_run_arguments(app, arguments->run);
    app.add_option("--in", arguments->in, "safetensors with ids (B,T)")->required();
    app.add_option("--out", arguments->out, "safetensors with logits (B,T,V) and loss")->required();
    app.add_flag("--memory", arguments->memory, "rows are consecutive windows of one stream and carry memory");
    return [arguments] { return run_logits(*arguments); };
}

}  // namespace apps
