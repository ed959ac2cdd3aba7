#pragma once
#include "nn/module.h"

#include <vector>

namespace nn {

// All parameters of a model end to end in flat buffers: the copy that kernels compute with (dtype), master values, gradients and the two
// moments of AdamW (Sum dtype). In float32 and float64 the copy is the master itself. Padding between rows stays zero.
class ParameterStore {
  public:
    struct Place {
        Parameter* parameter;
        Size offset;    // elements into every flat buffer
        Size elements;  // padding included
    };

    // `loaded`: zeros, for a caller that brings all values itself; drawing them would take as long as reading them.
    enum class Values { initial, loaded };

    // Takes memory, binds every parameter's Var and state's tensor, and fills them.
    // `trains`: with gradients and moments; without, only values.
    ParameterStore(engine::Exec& exec, Module& module, Dtype dtype, std::uint64_t seed, bool trains, Values values = Values::initial);

    const std::vector<Place>& places() const { return places_; }
    const std::vector<State*>& states() const { return states_; }
    Dtype dtype() const { return dtype_; }
    Size parameter_count() const;
    // Elements of a flat buffer, padding included.
    Size flat_elements() const { return elements_; }

    const Tensor& master() const { return master_; }
    const Tensor& compute() const { return compute_; }
    const Tensor& gradient() const { return gradient_; }
    // The gradients of all uses: those that gradient() holds, then further uses' of shared parameters. What a pass sums over its ranks.
    const Tensor& pass_gradient() const { return pass_gradient_; }
    const Tensor& moment1() const { return moment1_; }
    const Tensor& moment2() const { return moment2_; }
    // A parameter's view of a flat buffer.
    Tensor view(const Tensor& flat, const Place& place) const;

    // Forgets all gradients, before a pass; and writes zeros where the pass left none, after it.
    void begin_pass();
    void end_pass(engine::Exec& exec);
    // After the ranks' sum: every further use's gradient joins its owner's.
    void add_uses(engine::Exec& exec);
    // New master values were written: refreshes the compute copy.
    void refresh_compute(engine::Exec& exec);
    // Every state that has a `next` takes it.
    void advance_states();

  private:
    void place(Parameter& parameter, std::vector<Place>& places, Size& elements) const;

    Dtype dtype_;
    Size elements_ = 0;
    std::vector<Place> places_, uses_;  // uses: places in pass_gradient
    std::vector<State*> states_;
    Tensor master_, compute_, gradient_, pass_gradient_, moment1_, moment2_;
};

}  // namespace nn
