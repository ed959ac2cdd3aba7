#pragma once
#include "nn/feed_forward.h"
#include "nn/key_value_cache.h"
#include "nn/mixer.h"

#include <memory>
#include <vector>

namespace nn {

// What a stream of windows carries from one window to the next. Models with memory: per layer the inputs of earlier positions, not
// normalised, newest last. Models of a fixed context: the earlier positions' ids.
struct ModelMemory {
    std::vector<Tensor> layers;  // (B,M,C), or one (B,M) int32; empty before the first window
    Size limit = 0;              // positions kept
    void clear() { layers.clear(); }
    // M
    Size positions() const { return layers.empty() || !layers.front().defined() ? 0 : layers.front().size(1); }
};

// What decoding token by token carries.
struct DecodeCache {
    std::vector<KeyValueCache> layers;
    std::vector<MixerCache> mixers;  // in place of the layers' keys and values, for models of mixers
    Size limit = 0;                  // positions kept
};

struct LayerReport {
    int layer = 0;
    std::vector<NamedLoss> losses;
    Routing routing;
};

struct ModelResult {
    Var logits_NV;                    // Sum dtype
    std::vector<LayerReport> layers;  // in order, for those with losses or routing
};

// Token ids to logits. Kinds differ in how positions mix; all carry memory and decode token by token.
class LanguageModel : public Module {
  public:
    // ids (B,T) int32. Uses the memory and leaves in it what the next window needs.
    virtual ModelResult forward(engine::Tape& tape, const Tensor& ids_BT, ModelMemory& memory, double loss_scale) = 0;
    // ids (B,t) int32 of new positions. Row for row the same bits as `forward` over all of them.
    virtual ModelResult decode(engine::Tape& tape, const Tensor& ids_Bt, DecodeCache& cache) = 0;
    // Why this model cannot decode; empty where it can.
    virtual std::string refuses_decoding() const { return ""; }
    // Forward, 2 per multiply-add, visible pairs only, at context T and memory M.
    virtual FeedForward::Flops flops_per_token(Size T, Size M) const = 0;
    virtual Size active_parameters() const = 0;
    // Positions that a window may have, those included that memory brings or the cache holds; 0: any number.
    virtual Size most_positions() const { return 0; }
    // How many of a window's first positions see each other, and not only what came before them: they carry no loss.
    virtual Size prefix() const { return 0; }
};

}  // namespace nn
