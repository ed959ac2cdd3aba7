#include "apps/single_layer.h"

#include "engine/base/error.h"
#include "engine/ops/concat_memory.h"
#include "moe/methods/table.h"
#include "nn/attention.h"
#include "nn/layer_norm.h"
#include "nn/rms_norm.h"
#include "nn/xl_attention.h"

#include <algorithm>

namespace apps {

using engine::expect;
using engine::Tape;
using nn::FeedForwardResult;
using nn::LayerPlace;
using nn::OptionTable;
using nn::Size;

namespace {

class FeedForwardLayer final : public SingleLayer {
  public:
    explicit FeedForwardLayer(std::unique_ptr<nn::FeedForward> layer) : layer_(std::move(layer)) {}
    nn::Module& module() override { return *layer_; }
    bool mixes_positions() const override { return layer_->mixes_positions(); }
    Size most_positions() const override { return layer_->most_positions(); }
    bool reads_token_ids() const override { return layer_->reads_token_ids(); }
    FeedForwardResult forward(Tape& tape, const LayerInputs& inputs) override {
        return layer_->forward(tape, inputs.x, {.token_ids_N = inputs.token_ids, .sequence_length = inputs.x.size(-2)});
    }

  private:
    std::unique_ptr<nn::FeedForward> layer_;
};

template <class Norm>
class NormLayer final : public SingleLayer {
  public:
    NormLayer(const OptionTable& options, const LayerPlace& place) : norm_(place.channels, options.number("eps", 1e-5, 0.0)) {}
    nn::Module& module() override { return norm_; }
    FeedForwardResult forward(Tape& tape, const LayerInputs& inputs) override { return {.y_NC = norm_.forward(tape, inputs.x)}; }

  private:
    Norm norm_;
};

class AttentionLayer final : public SingleLayer {
  public:
    AttentionLayer(const OptionTable& options, const LayerPlace& place)
        : attention_(place, options.size("heads"), options.flag("rope", false), options.flag("bias", false)) {}
    nn::Module& module() override { return attention_; }
    bool mixes_positions() const override { return true; }
    FeedForwardResult forward(Tape& tape, const LayerInputs& inputs) override {
        return {.y_NC = attention_.forward(tape, inputs.x, positions_)};
    }

  private:
    nn::Attention attention_;
    nn::RotaryTable positions_;
};

class XlAttentionLayer final : public SingleLayer {
  public:
    XlAttentionLayer(const OptionTable& options, const LayerPlace& place)
        : attention_(place, options.size("heads", {}, 1, 1 << 16), options.size("head_size", {}, 1, 1 << 20)) {
        expect(place.channels % 2 == 0, "xl-attention", "channels must be even: got {}", place.channels);
    }
    nn::Module& module() override { return attention_; }
    bool mixes_positions() const override { return true; }
    bool reads_memory() const override { return true; }
    FeedForwardResult forward(Tape& tape, const LayerInputs& inputs) override {
        bool remembers = inputs.memory_BMC.defined();
        nn::Var full = remembers ? engine::ops::concat_memory(tape, inputs.memory_BMC, inputs.x) : inputs.x;
        return {.y_NC = attention_.forward(tape, full, inputs.x.size(1), positions_)};
    }

  private:
    nn::XlAttention attention_;
    nn::PositionTable positions_;
};

// What is no row of the table of methods.
struct Kind {
    const char* name;
    std::unique_ptr<SingleLayer> (*make)(const OptionTable& options, const LayerPlace& place);
};

template <class Layer>
std::unique_ptr<SingleLayer> make(const OptionTable& options, const LayerPlace& place) {
    return std::make_unique<Layer>(options, place);
}

constexpr Kind kKinds[] = {
    {"attention", make<AttentionLayer>},
    {"xl-attention", make<XlAttentionLayer>},
    {"layer-norm", make<NormLayer<nn::LayerNorm>>},
    {"rms-norm", make<NormLayer<nn::RmsNorm>>},
};

}  // namespace

std::unique_ptr<SingleLayer> make_single_layer(const std::string& method, const OptionTable& options, const LayerPlace& place) {
    std::vector<std::string> names;
    for (const Kind& kind : kKinds) {
        if (kind.name == method) {
            std::unique_ptr<SingleLayer> layer = kind.make(options, place);
            options.expect_all_used();
            return layer;
        }
        names.emplace_back(kind.name);
    }
    for (const moe::Method& row : moe::methods()) {
        if (row.name == method) return std::make_unique<FeedForwardLayer>(moe::make_feed_forward(row, options, place));
        names.emplace_back(row.name);
    }
    engine::fail(options.where(), "unknown method: got {}; hint: did you mean {}?", nn::option_text(method),
                 nn::nearest_name(method, names));
}

}  // namespace apps
