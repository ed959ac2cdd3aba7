#include "apps/config.h"

#include <limits>

namespace apps {
namespace {

constexpr double kMost = 1e15, kAnyReal = 1e30;

template <class Section, class Member>
ConfigKey key(const char* section, const char* name, Section Config::*part, Member Section::*member, double least, double most,
              const char* help) {
    return {section, name, help, [part, member](Config& config) -> Slot { return &(config.*part.*member); }, least, most, {}, false};
}

template <class Section>
ConfigKey word(const char* section, const char* name, Section Config::*part, std::string Section::*member, std::vector<std::string> words,
               const char* help) {
    ConfigKey result = key(section, name, part, member, 0, 0, help);
    result.words = std::move(words);
    return result;
}

ConfigKey resumable(ConfigKey key) {
    key.resumable = true;
    return key;
}

std::vector<ConfigKey> make_keys() {
    using C = Config;
    using D = C::Data;
    using M = C::Model;
    using F = C::FeedForward;
    using X = C::Mixer;
    using T = C::Train;
    using E = C::Eval;
    using P = C::Parallel;
    const std::vector<std::string> activations{"relu", "gelu", "gelu-tanh", "silu", "identity"};
    return {
        key("", "seed", &C::top, &C::Top::seed, 0, kMost, "every random number of the run follows from it"),
        key("data", "path", &C::data, &D::path, 0, 0, "folder made by moegrad prepare"),
        key("data", "context", &C::data, &D::context, 1, 1e6, "positions of a sequence, T"),
        word("model", "kind", &C::model, &M::kind, {"transformer-xl", "gpt", "gmlp", "smlp"}, "the architecture"),
        key("model", "vocab", &C::model, &M::vocab, 1, 1e9, "token kinds, V (default: the data's)"),
        key("model", "channels", &C::model, &M::channels, 1, 1e6, "width, C"),
        key("model", "layers", &C::model, &M::layers, 1, 1e4, "blocks, L"),
        key("model", "heads", &C::model, &M::heads, 1, 1e4, "attention heads, H"),
        key("model", "head_size", &C::model, &M::head_size, 1, 1e5, "channels of a head, S"),
        key("model", "dropout", &C::model, &M::dropout, 0, 0.999, "probability of a zero after embedding and blocks"),
        key("model", "memory", &C::model, &M::memory, 0, 1e6, "tokens remembered by transformer-xl (default: context)"),
        key("model", "rope", &C::model, &M::rope, 0, 0, "rotary positions (gpt)"),
        key("model", "tied", &C::model, &M::tied, 0, 0, "the head shares the embedding"),
        key("model", "bias", &C::model, &M::bias, 0, 0, "biases in linear layers"),
        key("ffn", "method", &C::ffn, &F::method, 0, 0, "a row of moegrad methods; no default"),
        key("ffn", "layers", &C::ffn, &F::layers, 0, 1e4, "\"all\" or a list: where this feed-forward stands"),
        key("ffn", "dense_hidden", &C::ffn, &F::dense_hidden, 1, 1e8, "hidden width of the dense layers everywhere else"),
        word("ffn", "dense_activation", &C::ffn, &F::dense_activation, activations, "their activation"),
        key("ffn", "share_values", &C::ffn, &F::share_values, 0, 0, "one table of values for all layers (memory-plus)"),
        key("mixer", "method", &C::mixer, &X::method, 0, 0, "what mixes positions (gmlp, smlp)"),
        key("mixer", "layers", &C::mixer, &X::layers, 0, 1e4, "\"all\" or a list: where this mixer stands"),
        resumable(key("train", "steps", &C::train, &T::steps, 0, kMost, "steps of the whole run")),
        key("train", "batch", &C::train, &T::batch, 1, 1e7, "sequences of a step"),
        key("train", "micro_batch", &C::train, &T::micro_batch, 1, 1e7, "sequences of a micro-shard (default: the whole pass)"),
        key("train", "accumulate", &C::train, &T::accumulate, 1, 1e6, "passes of a step"),
        key("train", "recompute", &C::train, &T::recompute, 0, 0, "forget activations and compute them again"),
        key("train", "lr", &C::train, &T::lr, 0, 1e3, "peak learning rate"),
        key("train", "warmup", &C::train, &T::warmup, 0, kMost, "steps of linear rise"),
        word("train", "schedule", &C::train, &T::schedule, {"cosine", "linear", "constant", "wsd"}, "how the rate falls"),
        key("train", "schedule_steps", &C::train, &T::schedule_steps, 1, kMost, "steps of the fall (default: steps - warmup)"),
        key("train", "lr_scale", &C::train, &T::lr_scale, 0, 1e6, "a table: part of the model, factor of its rate"),
        key("train", "decay_scale", &C::train, &T::decay_scale, 0, 1e6, "a table: part of the model, factor of its weight decay"),
        word("train", "table_rows", &C::train, &T::table_rows, {"all", "touched"}, "rows of tables of cells that AdamW updates"),
        key("train", "clip", &C::train, &T::clip, 0, kAnyReal, "largest norm of the gradient; 0: any"),
        key("train", "weight_decay", &C::train, &T::weight_decay, 0, 1e3, "AdamW's decay"),
        key("train", "beta1", &C::train, &T::beta1, 0, 0.999999999, "AdamW's first moment"),
        key("train", "beta2", &C::train, &T::beta2, 0, 0.999999999, "AdamW's second moment"),
        key("train", "eps", &C::train, &T::eps, 0, 1, "AdamW's epsilon"),
        word("train", "dtype", &C::train, &T::dtype, {"float32", "float64", "bfloat16"}, "what layers compute in"),
        key("train", "device", &C::train, &T::device, 0, 0, "cpu, simt, cuda or cuda:N"),
        resumable(key("train", "threads", &C::train, &T::threads, 0, 4096, "0: one a core")),
        resumable(key("train", "log_every", &C::train, &T::log_every, 1, kMost, "steps between records")),
        resumable(key("train", "eval_every", &C::train, &T::eval_every, 0, kMost, "steps between evaluations; 0: none")),
        resumable(key("train", "save_every", &C::train, &T::save_every, 0, kMost, "steps between checkpoints; 0: at the end")),
        resumable(key("train", "keep", &C::train, &T::keep, 1, 1e6, "checkpoints that stay")),
        key("train", "tensorboard", &C::train, &T::tensorboard, 0, 0, "write event files too"),
        key("eval", "memory", &C::eval, &E::memory, 0, 1e7, "tokens remembered while evaluating (default: model.memory)"),
        key("eval", "streams", &C::eval, &E::streams, 1, 1e6, "parts of the text that are read side by side"),
        resumable(key("parallel", "ranks", &C::parallel, &P::ranks, 1, 1e6, "in one process: virtual ranks")),
        resumable(key("parallel", "zero", &C::parallel, &P::zero, 0, 1, "1: optimizer state is cut over the ranks")),
        resumable(key("parallel", "expert", &C::parallel, &P::expert, 1, 1e6, "ranks that share the experts")),
        resumable(key("parallel", "table_shards", &C::parallel, &P::table_shards, 1, 1e6, "ranks that share a table of values")),
        resumable(word("parallel", "reduction", &C::parallel, &P::reduction, {"exact", "fast"},
                       "exact: equal bits for any number of ranks; fast: equal to rounding only")),
    };
}

}  // namespace

const std::vector<ConfigKey>& config_keys() {
    static const std::vector<ConfigKey> keys = make_keys();
    return keys;
}

}  // namespace apps
