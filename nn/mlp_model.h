#pragma once
#include "nn/block_model.h"
#include "nn/mixer.h"

#include <vector>

namespace nn {

struct MlpOptions {
    Size vocab = 0, channels = 0, layers = 0;
    float dropout = 0;
    bool tied = false;
};

// Makes the mixer of one block.
using MixerMaker = std::function<std::unique_ptr<Mixer>(const LayerPlace& place)>;

// Language models without attention: pre-norm blocks of a mixer alone (gMLP), or of a mixer and a feed-forward (sMLP).
//
// A window has at most the mixers' context. What memory brings are the ids of earlier positions, which are read again in front of the
// window: memory and window together fit the context.
class MlpModel final : public BlockModel {
  public:
    // Without `make_feed_forward` blocks are mixers alone. Throws where a mixer sees all of its context at once.
    MlpModel(const MlpOptions& options, const MixerMaker& make_mixer, const FeedForwardMaker& make_feed_forward = {});

    ModelResult forward(engine::Tape& tape, const Tensor& ids_BT, ModelMemory& memory, double loss_scale) override;
    ModelResult decode(engine::Tape& tape, const Tensor& ids_Bt, DecodeCache& cache) override;
    std::string refuses_decoding() const override;
    FeedForward::Flops flops_per_token(Size T, Size M) const override;
    Size active_parameters() const override;
    Size most_positions() const override { return context_; }
    Size prefix() const override { return prefix_; }

  private:
    // x += drop(mixer(norm1(x))), then, where there is one, x += drop(feed_forward(norm2(x))).
    struct Block final : public Module {
        Block(const LayerPlace& place, const MixerMaker& make_mixer, const FeedForwardMaker& make_feed_forward);
        LayerNorm norm1, norm2;
        std::unique_ptr<Mixer> mixer;
        std::unique_ptr<FeedForward> feed_forward;
    };

    template <class Mix>
    Var run_blocks(engine::Tape& tape, Var x_BTC, const Tensor& ids_BT, double loss_scale, ModelResult& result, Mix&& mix) const;

    std::vector<std::unique_ptr<Block>> blocks_;
    Size context_ = 0, prefix_ = 0;
};

}  // namespace nn
