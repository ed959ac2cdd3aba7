#pragma once
#include "engine/comm/communicator.h"
#include "nn/module.h"

#include <vector>

namespace nn {

// All parameters of a model end to end in flat buffers: the copy that kernels compute with (dtype), master values, gradients and the two
// moments of AdamW (Sum dtype). In float32 and float64 the copy is the master itself. Padding between rows stays zero.
//
// Cut over N ranks (ZeRO stage 1; Rajbhandari et al. 2020, section 5.1), a rank holds the moments of one N-th of the elements, and the
// master values where they are not the copy; it updates that part and brings the others' into its copy. Elements are updated one by one, so
// the cut changes no bit. The constructor and share_values are then collective.
//
// Where ranks share experts or tables' columns (Exec::sharing), each holds the values, gradients and moments of its own alone, behind those
// of all others.
class ParameterStore {
  public:
    struct Place {
        Parameter* parameter;
        Size offset = 0;    // elements into every flat buffer
        Size elements = 0;  // padding included
        Shape shape;        // of what this rank holds
        Size first = 0;     // where that begins along the first dimension
        Size column = 0;    // and along the last
        int sharers = 1;    // ranks that divide the parameter
        Size first_value() const { return first * shape.elements() / shape[0]; }
    };

    // `loaded`: zeros, for a caller that brings all values itself; drawing them would take as long as reading them.
    enum class Values { initial, loaded };

    enum class Cut { none, over_ranks };

    // Elements of the flat buffers.
    using Range = engine::Range;
    // Elements that all ranks hold, or that those with the same place in their groups of `sharers` do.
    struct Segment {
        Range range;
        int sharers;
    };

    // Takes memory, binds every parameter's Var and state's tensor, and fills them.
    // `trains`: with gradients and moments; without, only values.
    ParameterStore(engine::Exec& exec, Module& module, Dtype dtype, std::uint64_t seed, bool trains, Values values = Values::initial,
                   Cut cut = Cut::none);

    const std::vector<Place>& places() const { return places_; }
    const std::vector<State*>& states() const { return states_; }
    // Further uses of parameters, as places in pass_gradient().
    const std::vector<Place>& uses() const { return uses_; }
    // The place of the parameter that a use is one of.
    const Place& owner_of(const Place& use) const;
    Dtype dtype() const { return dtype_; }
    Size parameter_count() const;
    // Elements of a flat buffer, padding included.
    Size flat_elements() const { return elements_; }

    // Whole, or what this rank updates, where they are cut and not the copy: element i stands at index_in_master(i).
    const Tensor& master() const { return master_; }
    const Tensor& compute() const { return compute_; }
    const Tensor& gradient() const { return gradient_; }
    // The gradients of all uses: those that gradient() holds, then further uses' of shared parameters. What a pass sums over its ranks.
    const Tensor& pass_gradient() const { return pass_gradient_; }
    // Of what this rank updates: element i stands at index_in_moments(i).
    const Tensor& moment1() const { return moment1_; }
    const Tensor& moment2() const { return moment2_; }
    // Rank r's part of a cut over n ranks of what is not shared. The last ones may have less than the others, or nothing.
    Range range_of(int rank, int ranks) const;
    // The part of a range that this rank updates: of what is not shared all, or its part of the cut. A range is of one segment.
    Range updated(const Range& range) const;
    Size index_in_moments(Size element) const;
    Size index_in_master(Size element) const { return master_is_cut_ ? index_in_moments(element) : element; }
    bool master_is_cut() const { return master_is_cut_; }
    // Elements of a rank's part of the cut, padding included; and the ranks that it is over, 1 without.
    Size part_of_cut() const { return parts_.size(1); }
    int ranks_of_cut() const { return static_cast<int>(parts_.size(0)); }
    // Of pass_gradient(), or of the values.
    const std::vector<Segment>& segments() const { return segments_; }
    std::vector<Segment> segments_of_values() const;
    Size bytes_of_values() const;
    Size bytes_of_moments() const { return moment1_.bytes() + moment2_.bytes(); }
    // A parameter's view of a whole flat buffer.
    Tensor view(const Tensor& flat, const Place& place) const;
    // A parameter's elements within a range, as a range of all its values in row-major order without padding; of a table whose columns
    // ranks share, of this rank's values.
    Range values_of(const Place& place, const Range& range) const;
    // New master values of a parameter, in the Sum dtype; share_values follows after the last.
    void set_master(engine::Exec& exec, const Place& place, const Tensor& value);

    // Forgets all gradients, before a pass; and writes zeros where the pass left none, after it.
    void begin_pass();
    void end_pass(engine::Exec& exec);
    void end_gradient(engine::Exec& exec, const Place& place) const;
    // After the ranks' sum: every further use's gradient joins its owner's.
    void add_uses(engine::Exec& exec);
    // New master values were written: refreshes the compute copy, the other ranks' parts too.
    void share_values(engine::Exec& exec);
    // What the passes of a step left in the states so far; and back to it, where a pass counts for nothing.
    std::vector<State> copy_of_states() const;
    void take_back_states(const std::vector<State>& states);
    // Every state that has a `next` takes it.
    void advance_states();

  private:
    // Of this rank, of what ranks share; behind the cut.
    Size shared_elements() const { return elements_ > unshared_ ? elements_ - end_of_cut_ : 0; }
    Place placed(const engine::Exec& exec, Parameter& parameter) const;
    void place_all(const engine::Exec& exec, Module& module, int ranks);
    void append_segment(const Place& place);

    Dtype dtype_;
    Size elements_ = 0;
    Size unshared_ = 0;    // elements, padding of the cut left out
    Size end_of_cut_ = 0;  // where shared parameters begin
    Range own_;
    bool master_is_cut_ = false;
    std::vector<Place> places_, uses_;  // uses: places in pass_gradient
    std::vector<Segment> segments_;
    std::vector<State*> states_;
    Tensor parts_;  // compute_ as (ranks, a rank's elements), the last one's padded
    Tensor master_, compute_, gradient_, pass_gradient_, moment1_, moment2_;
};

// Throws where that many ranks cannot share a table's columns (engine/kernels/strips.h).
void check_columns(const Parameter& table, int ranks);

}  // namespace nn
