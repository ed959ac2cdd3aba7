#include "nn/module.h"

namespace nn {

void Module::add(Parameter& parameter, std::string name, Shape shape, Initial initial, std::string part) {
    parameter.shape = shape;
    parameter.decays = shape.dims() >= 2;
    parameter.initial = std::move(initial);
    parameter.part = std::move(part);
    parameters_.emplace_back(std::move(name), &parameter);
}

void Module::add_use(Parameter& use, Parameter& owner) {
    use.shape = owner.shape;
    use.owner = owner.owner != nullptr ? owner.owner : &owner;
    uses_.push_back(&use);
}

void Module::add(State& state, std::string name, Shape shape, Dtype dtype, Initial initial) {
    state.shape = shape;
    state.dtype = dtype;
    state.initial = std::move(initial);
    states_.emplace_back(std::move(name), &state);
}

void Module::add(Module& child, std::string name) { children_.push_back({std::move(name), &child}); }

void Module::collect(const std::string& prefix, std::vector<Parameter*>& parameters, std::vector<State*>& states) {
    for (auto& [name, parameter] : parameters_) {
        parameter->name = prefix + name;
        parameters.push_back(parameter);
    }
    for (auto& [name, state] : states_) {
        state->name = prefix + name;
        states.push_back(state);
    }
    for (Child& child : children_) child.module->collect(prefix + child.name + ".", parameters, states);
}

void Module::collect_uses(std::vector<Parameter*>& uses) const {
    uses.insert(uses.end(), uses_.begin(), uses_.end());
    for (const Child& child : children_) child.module->collect_uses(uses);
}

}  // namespace nn
