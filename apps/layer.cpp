// moegrad layer FILE --in X --out Y: one layer forward and, where dy is given, backward (LAYERS.md).
#include "apps/command.h"
#include "apps/config.h"
#include "apps/layer_inputs.h"
#include "engine/base/error.h"
#include "engine/base/visit.h"
#include "engine/cuda/runtime.h"
#include "engine/kernels/step_scalars.h"
#include "engine/memory/pool.h"
#include "engine/tensor/transfer.h"
#include "nn/parameter_store.h"

#include <CLI/CLI.hpp>
#include <limits>
#include <memory>

namespace apps {

using namespace engine;

namespace {

struct LayerFiles {
    std::string options, in, out;
};

struct Settings {
    std::string method;
    Size channels;
    Dtype dtype;
    Device device;
    std::uint64_t seed;
    bool trains;
    int depth;
};

Settings read_settings(const nn::OptionTable& options) {
    std::string dtype = options.word("dtype", "float32", {"float32", "float64", "bfloat16"});
    Settings settings{
        .method = options.word("method"),
        .channels = options.size("channels", {}, 1, 1 << 24),
        .dtype = dtype == "float64"    ? Dtype::f64
                 : dtype == "bfloat16" ? Dtype::bf16
                                       : Dtype::f32,
        .device = parse_device(options.word("device", "cpu")),
        .seed = static_cast<std::uint64_t>(options.size("seed", 0, 0, std::numeric_limits<Size>::max())),
        .trains = options.word("mode", "train", {"train", "eval"}) == "train",
        .depth = static_cast<int>(options.size("depth", 1, 1, 100000)),
    };
    expect(settings.dtype != Dtype::f64 || settings.device.kind == DeviceKind::cpu, options.where(),
           "float64 runs on the cpu only: got device = \"{}\"", device_name(settings.device));
    return settings;
}

// Everything that goes into Y: double for float64, else single precision.
class Output {
  public:
    Output(Exec& exec, Dtype dtype) : exec_(exec), double_(dtype == Dtype::f64) {}
    void add(const std::string& name, const Tensor& tensor) {
        if (!is_floating(tensor.dtype())) {
            writer_.add(name, tensor.shape(), to_host<std::int32_t>(exec_, tensor));
        } else if (double_) {
            writer_.add(name, tensor.shape(), to_host<double>(exec_, tensor));
        } else {
            writer_.add(name, tensor.shape(), to_host<float>(exec_, tensor));
        }
    }
    void write(const std::string& path) const { writer_.write(path); }

  private:
    Exec& exec_;
    bool double_;
    io::SafetensorsWriter writer_;
};

// The device's context, with the random numbers of `seed` and step 0.
class DeviceExec {
  public:
    DeviceExec(Device device, std::uint64_t seed) {
        exec_.device = device;
        exec_.pool = &pool_of(device);
        if (device.kind == DeviceKind::cuda) {
            cuda::set_device(device.index);
            exec_.stream = cuda::make_stream();
        }
        scalars_ = zeros(exec_, {static_cast<Size>(sizeof(StepScalars) / sizeof(std::int32_t))}, Dtype::i32);
        auto* scalars = static_cast<StepScalars*>(scalars_.address());
        visit_device(exec_, [&]<class D>(D) { kernels::write_scalars<D>(exec_, scalars, StepScalars{.seed = seed}); });
        exec_.scalars = scalars;
    }
    ~DeviceExec() {
        if (exec_.stream != nullptr) cuda::destroy_stream(exec_.stream);
    }
    DeviceExec(const DeviceExec&) = delete;
    DeviceExec& operator=(const DeviceExec&) = delete;
    operator Exec&() { return exec_; }

  private:
    Exec exec_;
    Tensor scalars_;
};

int run_layer(const LayerFiles& files) {
    nn::OptionTable options = load_options(files.options);
    Settings settings = read_settings(options);
    std::unique_ptr<SingleLayer> layer = make_single_layer(settings.method, options, {settings.channels, 0, settings.depth});
    io::SafetensorsFile in = io::SafetensorsFile::open(files.in);
    LayerTensors own = bind_inputs(in, *layer, settings.channels, settings.dtype);
    bool backward = in.contains("dy");

    DeviceExec device(settings.device, settings.seed);
    Exec& exec = device;
    nn::ParameterStore store(exec, layer->module(), settings.dtype, settings.seed, true);
    LayerInputs inputs{.x = Var(in.read_tensor(exec, "x", settings.dtype), backward)};
    if (layer->reads_token_ids()) inputs.token_ids = in.read_tensor(exec, "token_ids", Dtype::i32);
    if (in.contains("memory")) inputs.memory_BMC = in.read_tensor(exec, "memory", settings.dtype);

    Output out(exec, settings.dtype);
    for (const nn::Parameter* parameter : own.parameters) out.add("param." + parameter->name, parameter->var.value());
    for (const nn::State* state : own.states) out.add("param." + state->name, state->value);
    Tape tape(exec, backward, settings.trains);
    nn::FeedForwardResult result = layer->forward(tape, inputs);
    out.add("y", result.y_NC.value());
    const nn::Routing& routing = result.routing;
    bool by_expert = routing.rows_ES.defined();
    if (routing.ids.defined()) out.add("ids", by_expert ? routing.rows_ES : routing.ids);
    if (routing.gates.defined()) out.add("gates", by_expert ? routing.gates_ES : routing.gates);
    for (const nn::NamedLoss& loss : result.losses) out.add("loss." + loss.name, loss.value);
    for (const nn::State* state : own.states) {
        if (settings.trains && state->next.defined()) out.add("next." + state->name, state->next);
    }
    if (backward) {
        // The objective's other terms, Σ weight·loss, seed themselves.
        result.y_NC.give_grad(exec, in.read_tensor(exec, "dy", settings.dtype));
        tape.backward();
        store.end_pass(exec);
        out.add("dx", inputs.x.has_grad() ? inputs.x.grad() : zeros(exec, inputs.x.shape(), settings.dtype));
        for (const auto& place : store.places()) out.add("grad." + place.parameter->name, store.view(store.gradient(), place));
    }
    out.write(files.out);
    return kDone;
}

}  // namespace

std::function<int()> add_layer(CLI::App& app) {
    auto files = std::make_shared<LayerFiles>();
    app.add_option("FILE", files->options, "TOML: method, channels, dtype, device, seed, mode, depth and the method's options")->required();
    app.add_option("--in", files->in, "safetensors: x, optionally dy, and any of the parameters")->required();
    app.add_option("--out", files->out, "safetensors to write: y, param.*, and with dy also dx and grad.*")->required();
    return [files] { return run_layer(*files); };
}

}  // namespace apps
