#include "engine/autograd/gradient_check.h"

#include "engine/base/philox.h"
#include "engine/tensor/transfer.h"

#include <algorithm>
#include <cmath>

namespace engine {
namespace {

std::vector<double> weights_for(Size count) {
    std::vector<double> weights(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 2.0 * static_cast<double>(to_uniform(random_bits(7, 0, 1, i))) - 1.0;
    return weights;
}

double objective(Exec& exec, const std::function<Var(Tape&)>& f) {
    Tape tape(exec, false);
    std::vector<double> y = to_host<double>(exec, f(tape).value());
    std::vector<double> weights = weights_for(static_cast<Size>(y.size()));
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += weights[i] * y[i];
    return sum;
}

}  // namespace

double gradient_error(Exec& exec, const std::vector<Var>& inputs, const std::function<Var(Tape&)>& f) {
    for (const Var& input : inputs) input.forget_grad();
    {
        Tape tape(exec);
        Var y = f(tape);
        y.give_grad(exec, from_host(exec, y.shape(), Dtype::f64, weights_for(y.shape().elements())));
        tape.backward();
    }
    constexpr double kStep = 1e-5;
    double worst = 0;
    for (const Var& input : inputs) {
        std::vector<double> values = to_host<double>(exec, input.value());
        std::vector<double> grads(values.size(), 0.0);
        if (input.has_grad()) grads = to_host<double>(exec, input.grad());
        double largest = 1e-6, difference = 0;
        for (std::size_t i = 0; i < values.size(); ++i) {
            std::vector<double> moved = values;
            moved[i] = values[i] + kStep;
            copy_from_host(exec, input.value(), moved);
            double above = objective(exec, f);
            moved[i] = values[i] - kStep;
            copy_from_host(exec, input.value(), moved);
            double numeric = (above - objective(exec, f)) / (2 * kStep);
            largest = std::max({largest, std::abs(grads[i]), std::abs(numeric)});
            difference = std::max(difference, std::abs(grads[i] - numeric));
        }
        copy_from_host(exec, input.value(), values);
        worst = std::max(worst, difference / largest);
    }
    return worst;
}

}  // namespace engine
