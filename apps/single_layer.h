#pragma once
// One layer of any kind, as `moegrad layer` runs it (LAYERS.md).
#include "nn/feed_forward.h"
#include "nn/options.h"

#include <memory>
#include <string>

namespace apps {

struct LayerInputs {
    nn::Var x;              // (N,C), or (B,T,C) where positions mix
    nn::Tensor token_ids;   // (N) int32; undefined where the layer reads none
    nn::Tensor memory_BMC;  // undefined where there is none
};

class SingleLayer {
  public:
    virtual ~SingleLayer() = default;
    virtual nn::Module& module() = 0;
    virtual nn::FeedForwardResult forward(engine::Tape& tape, const LayerInputs& inputs) = 0;
    // What X may hold beside x, dy and the parameters.
    virtual bool mixes_positions() const { return false; }
    virtual nn::Size most_positions() const { return 0; }  // of a sequence; 0: any
    virtual bool reads_token_ids() const { return false; }
    virtual bool reads_memory() const { return false; }
};

// A row of moe/methods/table.h, an attention or a norm. Reads its options and refuses unknown or impossible ones; takes no memory.
std::unique_ptr<SingleLayer> make_single_layer(const std::string& method, const nn::OptionTable& options, const nn::LayerPlace& place);

}  // namespace apps
