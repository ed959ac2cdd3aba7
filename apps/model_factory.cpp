#include "apps/model_factory.h"

#include "engine/base/error.h"
#include "moe/methods/table.h"
#include "nn/mlp_model.h"
#include "nn/transformer_xl.h"

#include <algorithm>

namespace apps {

using engine::expect;
using engine::fail;

namespace {

Size required(const OptionalSize& value, const char* name) {
    expect(value.has_value(), "config", "{} must be given; hint: set it in the file or pass --set {}=…", name, name);
    return *value;
}

// Which blocks have the configured feed-forward or mixer; `name` is the list's key.
std::vector<bool> layers_with_method(const LayerList& list, Size layers, const char* name) {
    std::vector<bool> chosen(static_cast<std::size_t>(layers), list.all);
    for (Size layer : list.which) {
        expect(layer < layers, "config", "{} names a layer that is not there: got {}, expected 0 to {}", name, layer, layers - 1);
        chosen[static_cast<std::size_t>(layer)] = true;
    }
    return chosen;
}

nn::FeedForwardMaker feed_forward_maker(const Config& config, Size layers, Size vocab, const std::vector<std::int64_t>& token_counts) {
    const Config::FeedForward& ffn = config.ffn;
    expect(!ffn.method.empty(), "config", "ffn.method must be given; hint: `moegrad methods` lists them");
    const moe::Method& method = moe::method_named(ffn.method);
    expect(!moe::is_mixer(method), "config", "ffn.method is no feed-forward: got \"{}\"; hint: model.kind = \"{}\" with a [mixer]",
           method.name, method.name);
    std::vector<bool> chosen = layers_with_method(ffn.layers, layers, "ffn.layers");
    bool some_dense = std::find(chosen.begin(), chosen.end(), false) != chosen.end();
    nn::OptionTable dense("ffn.dense");
    if (some_dense) {
        dense.set("hidden", required(ffn.dense_hidden, "ffn.dense_hidden"));
        dense.set("activation", ffn.dense_activation);
        dense.set("bias", config.model.bias);
    }
    expect(!ffn.share_values || method.memory == moe::Memory::gated_values, "config",
           "ffn.share_values is for memory-plus: got ffn.method = \"{}\"; hint: leave it out", ffn.method);
    nn::OptionTable options = ffn.options;
    if (options.contains("vocab")) {
        expect(options.size("vocab") == vocab, "config", "ffn.vocab is not the model's: got {}, expected {}; hint: leave it out",
               options.size("vocab"), vocab);
    }
    options.offer("vocab", vocab);
    // The first layer that has the method owns the values of all.
    auto owner = std::make_shared<nn::Parameter*>(nullptr);
    return [&method, options, dense, chosen, token_counts, shares = ffn.share_values, owner](const nn::LayerPlace& place) {
        if (!chosen[static_cast<std::size_t>(place.layer)]) return moe::make_feed_forward(moe::method_named("dense"), dense, place);
        nn::LayerPlace at = place;
        at.values = *owner;
        at.token_counts = token_counts;
        auto layer = moe::make_feed_forward(method, options, at);
        if (shares && *owner == nullptr) *owner = moe::value_table(*layer);
        return layer;
    };
}

// Blocks outside mixer.layers have one matrix for all features: the dense blocks of sMLP.
nn::MixerMaker mixer_maker(const Config& config, Size layers) {
    const Config::Mixer& mixer = config.mixer;
    const moe::Method& method = moe::method_named(config.model.kind);
    expect(mixer.method.empty() || mixer.method == method.name, "config",
           "mixer.method must be the model's kind: got \"{}\", expected \"{}\"; hint: leave it out", mixer.method, method.name);
    nn::OptionTable options = mixer.options, dense("mixer");
    Size context = context_of(config);
    options.offer("context", context);
    dense.offer("context", context);
    for (const char* name : {"hidden", "context", "causal", "tanh"}) {
        if (options.contains(name)) dense.set(name, options.values().at(name));
    }
    std::vector<bool> chosen = layers_with_method(mixer.layers, layers, "mixer.layers");
    expect(method.memory == moe::Memory::position_experts || mixer.layers.all, "config",
           "mixer.layers is for model.kind = \"smlp\": every block of gmlp is the same; hint: leave it out");
    return [&method, options, dense, chosen](const nn::LayerPlace& place) {
        if (chosen[static_cast<std::size_t>(place.layer)]) return moe::make_mixer(method, options, place);
        return moe::make_mixer(moe::method_named("gmlp"), dense, place);
    };
}

std::unique_ptr<nn::LanguageModel> make_transformer_xl(const Config& config, Size vocab, const std::vector<std::int64_t>& token_counts) {
    const Config::Model& model = config.model;
    expect(!model.rope, "config", "model.rope is for model.kind = \"gpt\"; hint: transformer-xl has relative positions of its own");
    expect(config.mixer.method.empty() && config.mixer.options.values().empty(), "config",
           "[mixer] is for model.kind = \"gmlp\" or \"smlp\": got mixer.method = \"{}\"; hint: leave the section out", config.mixer.method);
    nn::TransformerXlOptions options{.vocab = vocab,
                                     .channels = required(model.channels, "model.channels"),
                                     .layers = required(model.layers, "model.layers"),
                                     .heads = required(model.heads, "model.heads"),
                                     .head_size = required(model.head_size, "model.head_size"),
                                     .dropout = static_cast<float>(model.dropout),
                                     .tied = model.tied};
    expect(options.channels % 2 == 0, "config", "model.channels must be even, for its sines and cosines: got {}; hint: {} or {}",
           options.channels, options.channels - 1, options.channels + 1);
    return std::make_unique<nn::TransformerXl>(options, feed_forward_maker(config, options.layers, vocab, token_counts));
}

// gMLP's blocks are mixers alone, sMLP's have a feed-forward each.
std::unique_ptr<nn::LanguageModel> make_mlp_model(const Config& config, Size vocab, const std::vector<std::int64_t>& token_counts) {
    const Config::Model& model = config.model;
    const char* kind = model.kind.c_str();
    expect(!model.heads && !model.head_size && !model.rope, "config",
           "model.heads, head_size and rope are for attention: model.kind is \"{}\"; hint: leave them out", kind);
    expect(model.memory.value_or(0) == 0, "config", "model.memory is for transformer-xl: model.kind is \"{}\"; hint: leave it out", kind);
    bool has_feed_forward = model.kind == "smlp";
    expect(has_feed_forward || (config.ffn.method.empty() && config.ffn.options.values().empty()), "config",
           "a block of gmlp has no feed-forward: got ffn.method = \"{}\"; hint: leave [ffn] out, or model.kind = \"smlp\"",
           config.ffn.method);
    nn::MlpOptions options{.vocab = vocab,
                           .channels = required(model.channels, "model.channels"),
                           .layers = required(model.layers, "model.layers"),
                           .dropout = static_cast<float>(model.dropout),
                           .tied = model.tied};
    nn::FeedForwardMaker make_feed_forward;
    if (has_feed_forward) make_feed_forward = feed_forward_maker(config, options.layers, vocab, token_counts);
    auto result = std::make_unique<nn::MlpModel>(options, mixer_maker(config, options.layers), make_feed_forward);
    Size context = context_of(config);
    expect(context <= result->most_positions(), "config", "data.context is longer than the mixer's: got {}, expected at most {}", context,
           result->most_positions());
    expect(result->prefix() < context, "config",
           "every position of data.context would see later ones: got a prefix of {} of {} positions; hint: a smaller mixer.partial",
           result->prefix(), context);
    return result;
}

}  // namespace

std::unique_ptr<nn::LanguageModel> make_model(const Config& config, Size vocab, const std::vector<std::int64_t>& token_counts) {
    const std::string& kind = config.model.kind;
    if (kind == "transformer-xl") return make_transformer_xl(config, vocab, token_counts);
    if (kind == "gmlp" || kind == "smlp") return make_mlp_model(config, vocab, token_counts);
    fail("config", "model.kind is not built yet: got \"{}\"; hint: \"transformer-xl\" is", kind);
}

Size vocab_of(const Config& config, std::optional<Size> data_vocab) {
    if (!config.model.vocab) {
        expect(data_vocab.has_value(), "config", "model.vocab must be given where there are no data; hint: set data.path or model.vocab");
        return *data_vocab;
    }
    expect(!data_vocab || *data_vocab <= *config.model.vocab, "config",
           "model.vocab is smaller than the data's: got {}, expected at least {}; hint: leave model.vocab out", *config.model.vocab,
           data_vocab.value_or(0));
    return *config.model.vocab;
}

std::string method_name(const Config& config) {
    if (config.model.kind == "transformer-xl" || config.model.kind == "gpt") return config.ffn.method;
    return config.ffn.method.empty() ? config.model.kind : fmt::format("{} with {}", config.model.kind, config.ffn.method);
}

std::vector<std::string> leak_notes(const Config& config) {
    std::vector<std::string> notes;
    auto add = [&](const std::string& method, const nn::OptionTable& options) {
        std::string note = moe::leak_note(moe::method_named(method), options);
        if (!note.empty()) notes.push_back(note);
    };
    if (!config.ffn.method.empty()) add(config.ffn.method, config.ffn.options);
    if (config.model.kind == "gmlp" || config.model.kind == "smlp") add(config.model.kind, config.mixer.options);
    return notes;
}

Size context_of(const Config& config) { return required(config.data.context, "data.context"); }
Size training_memory(const Config& config) {
    return config.model.memory.value_or(config.model.kind == "transformer-xl" ? context_of(config) : 0);
}
Size evaluation_memory(const Config& config) { return config.eval.memory.value_or(training_memory(config)); }

engine::Dtype dtype_named(std::string_view name) {
    return name == "float64" ? engine::Dtype::f64 : name == "bfloat16" ? engine::Dtype::bf16 : engine::Dtype::f32;
}

nn::ParameterStore::Cut cut_of(const Config& config) {
    return config.parallel.zero == 1 ? nn::ParameterStore::Cut::over_ranks : nn::ParameterStore::Cut::none;
}

nn::Reduction reduction_of(const Config& config) {
    return config.parallel.reduction == "fast" ? nn::Reduction::fast : nn::Reduction::exact;
}

nn::OptimizerOptions optimizer_options(const Config& config) {
    const Config::Train& t = config.train;
    return {.beta1 = t.beta1,
            .beta2 = t.beta2,
            .eps = t.eps,
            .weight_decay = t.weight_decay,
            .clip = t.clip,
            .lr_scale = t.lr_scale,
            .decay_scale = t.decay_scale,
            .touched_rows = t.table_rows == "touched"};
}

}  // namespace apps
