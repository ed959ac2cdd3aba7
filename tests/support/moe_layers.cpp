#include "tests/support/moe_layers.h"

#include "engine/base/error.h"
#include "engine/comm/communicator.h"
#include "engine/memory/pool.h"
#include "engine/tensor/transfer.h"
#include "nn/parameter_store.h"
#include "tests/support/device_scalars.h"
#include "tests/support/random.h"

#include <algorithm>
#include <cmath>
#include <sstream>

namespace tests {

using namespace engine;

namespace {

std::string option_text_of(const std::string& options, const std::string& name) {
    std::istringstream stream(options);
    for (std::string part; stream >> part;) {
        if (part.rfind(name + "=", 0) == 0) return part.substr(name.size() + 1);
    }
    return "";
}

// Everything that lives as long as the layer.
struct Built {
    std::unique_ptr<nn::FeedForward> layer;
    std::unique_ptr<nn::ParameterStore> store;
    DeviceScalars scalars;

    Built(Exec& exec, Dtype dtype, const LayerCase& c, const Table& fixed) : scalars(exec, {.seed = 5, .step = 3}) {
        layer = moe::make_feed_forward(c.row != nullptr ? *c.row : moe::method_named(c.method), options_of(c.options), {c.C, 0, 2});
        std::vector<nn::Parameter*> parameters;
        std::vector<nn::State*> states;
        layer->collect("", parameters, states);
        for (nn::Parameter* p : parameters) {
            if (c.fixed.contains(p->name)) p->initial = [&c, p](const Shape&, std::uint64_t) { return c.fixed.at(p->name); };
            if (fixed.contains(p->name)) p->initial = [&fixed, p](const Shape&, std::uint64_t) { return fixed.at(p->name); };
        }
        for (nn::State* s : states) {
            if (fixed.contains(s->name)) s->initial = [&fixed, s](const Shape&, std::uint64_t) { return fixed.at(s->name); };
        }
        store = std::make_unique<nn::ParameterStore>(exec, *layer, dtype, 17, true);
    }
};

nn::RowContext context_of(Exec& exec, const LayerCase& c, Size first_row, Size rows) {
    nn::RowContext context{.sequence_length = c.sequence_length};
    if (!c.token_ids.empty()) {
        context.token_ids_N = from_host(exec, {rows}, Dtype::i32,
                                        std::vector<std::int32_t>(c.token_ids.begin() + first_row, c.token_ids.begin() + first_row + rows));
    }
    return context;
}

void keep(Exec& exec, Table& out, const nn::FeedForwardResult& result) {
    out["y"] = to_host<double>(exec, result.y_NC.value());
    if (result.routing.ids.defined()) {
        bool by_expert = result.routing.rows_ES.defined();
        out["ids"] = to_host<double>(exec, by_expert ? result.routing.rows_ES : result.routing.ids);
        out["gates"] = to_host<double>(exec, by_expert ? result.routing.gates_ES : result.routing.gates);
    }
    for (const auto& loss : result.losses) out["loss." + loss.name] = to_host<double>(exec, loss.value);
}

}  // namespace

nn::OptionTable options_of(const std::string& text) {
    nn::OptionTable options("ffn");
    std::istringstream stream(text);
    for (std::string part; stream >> part;) {
        std::size_t sign = part.find('=');
        std::string name = part.substr(0, sign), value = part.substr(sign + 1);
        bool number = value.find_first_not_of("0123456789.e-") == std::string::npos && value != "-";
        if (value == "true" || value == "false") {
            options.set(name, value == "true");
        } else if (number && value.find_first_of(".e") == std::string::npos) {
            options.set(name, static_cast<std::int64_t>(std::stoll(value)));
        } else if (number) {
            options.set(name, std::stod(value));
        } else {
            options.set(name, value);
        }
    }
    return options;
}

double option(const LayerCase& layer, const std::string& name, double otherwise) {
    std::string text = option_text_of(layer.options, name);
    return text.empty() ? otherwise : std::stod(text);
}
std::string word(const LayerCase& layer, const std::string& name, const std::string& otherwise) {
    std::string text = option_text_of(layer.options, name);
    return text.empty() ? otherwise : text;
}

Table run_layer(Exec& exec, Dtype dtype, const LayerCase& c, const std::vector<double>& x, const std::vector<double>& dy,
                const Table& fixed) {
    Built built(exec, dtype, c, fixed);
    Table out;
    for (const auto& place : built.store->places())
        out["param." + place.parameter->name] = to_host<double>(exec, place.parameter->var.value());
    for (const nn::State* state : built.store->states()) {
        if (state->dtype == Dtype::i32) {
            std::vector<std::int32_t> values = to_host<std::int32_t>(exec, state->value);
            out["param." + state->name].assign(values.begin(), values.end());
        } else {
            out["param." + state->name] = to_host<double>(exec, state->value);
        }
    }
    Tape tape(exec, !dy.empty(), c.training);
    Var input(from_host(exec, {c.N, c.C}, dtype, x), true);
    nn::FeedForwardResult result = built.layer->forward(tape, input, context_of(exec, c, 0, c.N));
    keep(exec, out, result);
    for (const nn::State* state : built.store->states()) {
        if (state->next.defined()) out["next." + state->name] = to_host<double>(exec, state->next);
    }
    if (!dy.empty()) {
        result.y_NC.give_grad(exec, from_host(exec, {c.N, c.C}, dtype, dy));
        tape.backward();
        out["dx"] = to_host<double>(exec, input.grad());
        built.store->end_pass(exec);
        for (const auto& place : built.store->places())
            out["grad." + place.parameter->name] = to_host<double>(exec, built.store->view(built.store->gradient(), place));
    }
    return out;
}

Table moved_values(const LayerCase& c) {
    auto layer = moe::make_feed_forward(moe::method_named(c.method), options_of(c.options), {c.C, 0, 2});
    std::vector<nn::Parameter*> parameters;
    std::vector<nn::State*> states;
    layer->collect("", parameters, states);
    Table values;
    std::uint64_t salt = 100;
    for (const nn::Parameter* p : parameters) values[p->name] = random_values(p->shape.elements(), ++salt);
    for (const nn::State* s : states) {
        if (!is_floating(s->dtype)) continue;
        values[s->name] = random_values(s->shape.elements(), ++salt);
        for (double& value : values[s->name]) value = std::round(4 * value) / 8;
    }
    return values;
}

double layer_gradient_error(const LayerCase& c, const std::vector<double>& x, const std::vector<double>& dy, const Table& fixed) {
    Exec exec;
    Table analytic = run_layer(exec, Dtype::f64, c, x, dy, fixed);
    Built built(exec, Dtype::f64, c, fixed);
    Var input(from_host(exec, {c.N, c.C}, Dtype::f64, x));
    auto objective = [&] {
        Tape tape(exec, false, c.training);
        nn::FeedForwardResult result = built.layer->forward(tape, input, context_of(exec, c, 0, c.N));
        std::vector<double> y = to_host<double>(exec, result.y_NC.value());
        double sum = 0;
        for (std::size_t i = 0; i < y.size(); ++i) sum += dy[i] * y[i];
        for (const auto& loss : result.losses) sum += loss.weight * to_host<double>(exec, loss.value)[0];
        return sum;
    };
    constexpr double kStep = 1e-5;
    double worst = 0;
    auto check = [&](const std::string& name, const Tensor& value, const std::vector<double>& grads) {
        std::vector<double> values = to_host<double>(exec, value);
        double largest = 1e-3, difference = 0;  // a gradient of rounding around 0 is compared as it is
        for (std::size_t i = 0; i < values.size(); ++i) {
            std::vector<double> moved = values;
            moved[i] = values[i] + kStep;
            copy_from_host(exec, value, moved);
            double above = objective();
            moved[i] = values[i] - kStep;
            copy_from_host(exec, value, moved);
            double numeric = (above - objective()) / (2 * kStep);
            largest = std::max({largest, std::abs(grads[i]), std::abs(numeric)});
            difference = std::max(difference, std::abs(grads[i] - numeric));
        }
        copy_from_host(exec, value, values);
        if (difference / largest > 1e-6) fmt::print(stderr, "{} {}: {} off by {}\n", c.method, c.options, name, difference / largest);
        worst = std::max(worst, difference / largest);
    };
    check("x", input.value(), analytic["dx"]);
    for (const auto& place : built.store->places())
        check(place.parameter->name, place.parameter->var.value(), analytic["grad." + place.parameter->name]);
    return worst;
}

Table run_layer_on_ranks(int ranks, int shards, Device device, Dtype dtype, const LayerCase& c, const std::vector<double>& x,
                         const std::vector<double>& dy, const Table& fixed) {
    std::vector<Table> tables(static_cast<std::size_t>(ranks));
    Size rows = c.N / ranks;
    run_virtual_ranks(ranks, [&](Communicator& communicator) {
        Exec exec{.device = device, .pool = &pool_of(device)};
        exec.communicator = &communicator;
        exec.shards = {communicator.rank() * (shards / ranks), shards / ranks, shards};
        Built built(exec, dtype, c, fixed);
        Table& out = tables[static_cast<std::size_t>(communicator.rank())];
        Size first = communicator.rank() * rows;
        auto part = [&](const std::vector<double>& all) {
            return std::vector<double>(all.begin() + first * c.C, all.begin() + (first + rows) * c.C);
        };
        Tape tape(exec, true, c.training);
        Var input(from_host(exec, {rows, c.C}, dtype, part(x)), true);
        nn::FeedForwardResult result = built.layer->forward(tape, input, context_of(exec, c, first, rows));
        keep(exec, out, result);
        for (const nn::State* state : built.store->states()) {
            if (state->next.defined()) out["next." + state->name] = to_host<double>(exec, state->next);
        }
        result.y_NC.give_grad(exec, from_host(exec, {rows, c.C}, dtype, part(dy)));
        tape.backward();
        out["dx"] = to_host<double>(exec, input.grad());
        built.store->end_pass(exec);
        communicator.tree_sum(exec, built.store->gradient());
        for (const auto& place : built.store->places())
            out["grad." + place.parameter->name] = to_host<double>(exec, built.store->view(built.store->gradient(), place));
    });
    Table all = tables[0];
    bool by_expert = c.method == "expert-choice";
    for (const char* name : {"y", "ids", "gates", "dx"}) {
        if (!all.contains(name) || (by_expert && name != std::string("y") && name != std::string("dx"))) continue;
        for (std::size_t r = 1; r < tables.size(); ++r) all[name].insert(all[name].end(), tables[r][name].begin(), tables[r][name].end());
    }
    return all;
}

double naive_activation(const std::string& kind, double x) {
    if (kind == "gelu") return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    if (kind == "silu") return x / (1 + std::exp(-x));
    if (kind == "identity") return x;
    return x > 0 ? x : 0;
}

std::vector<double> naive_product(const std::vector<double>& x, const std::vector<double>& w, Size N, Size C, Size F) {
    std::vector<double> y(static_cast<std::size_t>(N * F), 0.0);
    for (Size n = 0; n < N; ++n) {
        for (Size c = 0; c < C; ++c) {
            for (Size f = 0; f < F; ++f) {
                y[static_cast<std::size_t>(n * F + f)] += x[static_cast<std::size_t>(n * C + c)] * w[static_cast<std::size_t>(c * F + f)];
            }
        }
    }
    return y;
}

std::vector<double> naive_experts(const LayerCase& layer, const std::vector<double>& x, const Table& param, const std::vector<double>& ids,
                                  const std::vector<double>& gates) {
    std::size_t N = static_cast<std::size_t>(layer.N), C = static_cast<std::size_t>(layer.C), K = ids.size() / N;
    std::size_t G = static_cast<std::size_t>(option(layer, "expert_size", 0));
    bool glu = word(layer, "glu", "false") == "true";
    std::string kind = word(layer, "activation", "relu");
    const auto &w1 = param.at("param.experts.w1"), &w2 = param.at("param.experts.w2");
    std::vector<double> y(N * C, 0.0);
    for (std::size_t i = 0; i < N * K; ++i) {
        if (ids[i] < 0) continue;
        std::size_t n = i / K, e = static_cast<std::size_t>(ids[i]);
        for (std::size_t g = 0; g < G; ++g) {
            double u = 0, v = glu ? 0 : 1;
            for (std::size_t c = 0; c < C; ++c) {
                u += x[n * C + c] * w1[(e * C + c) * G + g];
                if (glu) v += x[n * C + c] * param.at("param.experts.w3")[(e * C + c) * G + g];
            }
            double a = gates[i] * naive_activation(kind, u) * v;
            for (std::size_t c = 0; c < C; ++c) y[n * C + c] += a * w2[(e * G + g) * C + c];
        }
    }
    return y;
}

}  // namespace tests
