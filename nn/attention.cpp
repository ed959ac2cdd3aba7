#include "nn/attention.h"

#include "engine/base/error.h"
#include "engine/ops/attention.h"
#include "engine/ops/linear.h"
#include "nn/init.h"

#include <algorithm>
#include <cmath>

namespace nn {

using namespace engine;

Tensor RotaryTable::get(Exec& exec, Size count, Size head_size, Dtype dtype) {
    Size have = table_.defined() ? table_.size(0) : 0;
    // Decoding asks for one more each time: doubling keeps the making cheap.
    if (have < count) table_ = ops::rotary_table(exec, std::max(count, 2 * have), head_size, dtype);
    return table_;
}

Attention::Attention(const LayerPlace& place, Size heads, bool rope, bool bias)
    : heads_(heads), head_size_(place.channels / heads), rope_(rope) {
    Size C = place.channels;
    expect(C % heads == 0, "attention", "heads must divide the channels: got heads = {}, channels = {}", heads, C);
    expect(!rope || head_size_ % 2 == 0, "attention", "rotary positions want an even head size: got channels / heads = {}", head_size_);
    double deviation = std::sqrt(2.0 / (static_cast<double>(place.depth) * static_cast<double>(C)));
    add(qkv_, "qkv.w", {C, 3 * C}, truncated_normal(deviation));
    add(output_, "out.w", {C, C}, truncated_normal(deviation));
    if (bias) {
        add(qkv_bias_, "qkv.b", {3 * C}, constant(0));
        add(output_bias_, "out.b", {C}, constant(0));
    }
}

Tensor Attention::rotations(Exec& exec, Size count, Dtype dtype, RotaryTable& positions) const {
    return rope_ ? positions.get(exec, count, head_size_, dtype) : Tensor();
}

Var Attention::forward(Tape& tape, const Var& x_BTC, RotaryTable& positions) const {
    Var qkv_BT3C = ops::linear(tape, x_BTC, qkv_.var, qkv_bias_.var);
    Var heads_BTC = ops::attention(tape, qkv_BT3C, heads_, rotations(tape.exec(), x_BTC.size(1), x_BTC.dtype(), positions));
    return ops::linear(tape, heads_BTC, output_.var, output_bias_.var);
}

Var Attention::decode(Tape& tape, const Var& x_BtC, KeyValueCache& cache, RotaryTable& positions) const {
    Size seen = cache.keys.defined() ? cache.keys.size(1) : 0;
    Var qkv_Bt3C = ops::linear(tape, x_BtC, qkv_.var, qkv_bias_.var);
    Var heads_BtC = ops::attention_step(tape, qkv_Bt3C, heads_, rotations(tape.exec(), seen + x_BtC.size(1), x_BtC.dtype(), positions),
                                        cache.keys, cache.values);
    return ops::linear(tape, heads_BtC, output_.var, output_bias_.var);
}

}  // namespace nn
