#pragma once
#include "nn/parameter.h"

#include <string>
#include <vector>

namespace nn {

// A plain class with named parameters, states and children. Names join with dots: blocks.3.ffn.experts.w1.
class Module {
  public:
    Module() = default;
    virtual ~Module() = default;
    Module(const Module&) = delete;
    Module& operator=(const Module&) = delete;

    // Every parameter and state below, own first, then the children's in order of registration. `prefix` is put before the names.
    void collect(const std::string& prefix, std::vector<Parameter*>& parameters, std::vector<State*>& states);
    // The parameters below that are further uses of others; they have no name.
    void collect_uses(std::vector<Parameter*>& uses) const;

  protected:
    void add(Parameter& parameter, std::string name, Shape shape, Initial initial, std::string part = "");
    void add_use(Parameter& use, Parameter& owner);
    void add(State& state, std::string name, Shape shape, Dtype dtype, Initial initial);
    void add(Module& child, std::string name);

  private:
    struct Child {
        std::string name;
        Module* module;
    };
    std::vector<std::pair<std::string, Parameter*>> parameters_;
    std::vector<std::pair<std::string, State*>> states_;
    std::vector<Parameter*> uses_;
    std::vector<Child> children_;
};

}  // namespace nn
