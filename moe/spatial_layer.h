#pragma once
#include "moe/methods/table.h"
#include "moe/ops/spatial_gating.h"
#include "nn/mixer.h"

namespace moe {

// gMLP's block and sMLP's sMoE: y = h·out + out.b, z = gelu(x·in + in.b), h the spatial gating unit of z with one expert, or with one a
// chunk of z (Liu et al. 2021, sec. 2; Yu et al. 2022, sec. 3).
class SpatialLayer final : public nn::Mixer {
  public:
    SpatialLayer(const Method& method, const nn::OptionTable& options, const nn::LayerPlace& place);
    nn::FeedForwardResult forward(engine::Tape& tape, const engine::Var& x_NC, const nn::RowContext& context) override;
    nn::FeedForwardResult decode(engine::Tape& tape, const engine::Var& x_BtC, nn::MixerCache& cache) override;
    engine::Size most_positions() const override { return context_; }
    engine::Size prefix() const override { return unit_.causal ? unit_.prefix : context_; }
    Flops flops_per_row() const override { return flops_per_row_at(context_); }
    Flops flops_per_row_at(engine::Size T) const override;
    engine::Size active_parameters() const override;

  private:
    engine::Var inner(engine::Tape& tape, const engine::Var& x_NC) const;
    nn::FeedForwardResult outer(engine::Tape& tape, const ops::SpatialResult& gated) const;
    ops::SpatialParameters parameters() const;

    engine::Size channels_, hidden_, context_;
    bool has_experts_;
    ops::SpatialOptions unit_;
    nn::Parameter in_, in_bias_, norm_weight_, norm_bias_, spatial_, spatial_bias_, route_, out_, out_bias_;
};

}  // namespace moe
