#include "nn/xl_attention.h"

#include "engine/ops/concat_memory.h"
#include "engine/ops/linear.h"
#include "engine/ops/slice_rows.h"
#include "engine/ops/xl_attention.h"
#include "nn/init.h"

#include <algorithm>
#include <cmath>

namespace nn {

using namespace engine;

XlAttention::XlAttention(const LayerPlace& place, Size heads, Size head_size) : channels_(place.channels) {
    Size C = place.channels, HS = heads * head_size;
    auto matrix = [&](Size fan_in) {
        return truncated_normal(std::sqrt(2.0 / (static_cast<double>(place.depth) * static_cast<double>(fan_in))));
    };
    add(query_, "q.w", {C, HS}, matrix(C));
    add(key_, "k.w", {C, HS}, matrix(C));
    add(value_, "v.w", {C, HS}, matrix(C));
    add(position_, "pos.w", {C, HS}, matrix(C));
    add(output_, "out.w", {HS, C}, matrix(HS));
    add(content_bias_, "u", {heads, head_size}, constant(0));
    add(position_bias_, "v", {heads, head_size}, constant(0));
    add(scale_, "scale", {1}, constant(1.0 / std::sqrt(static_cast<double>(head_size))));
    content_bias_.decays = position_bias_.decays = false;
}

Tensor PositionTable::get(Exec& exec, Size count, Size channels, Dtype dtype) {
    Size have = table_.defined() ? table_.size(0) : 0;
    // Decoding asks for one more each time: doubling keeps the making cheap.
    if (have < count) table_ = ops::sinusoid_positions(exec, have == 0 ? count : std::max(count, 2 * have), channels, dtype);
    return table_.row_range(table_.size(0) - count, count);
}

ops::XlAttentionParameters XlAttention::parameters() const { return {position_.var, content_bias_.var, position_bias_.var, scale_.var}; }

Var XlAttention::forward(Tape& tape, const Var& full_BMTC, Size T, PositionTable& positions) const {
    Var q = ops::linear(tape, ops::slice_rows(tape, full_BMTC, T), query_.var);
    Var k = ops::linear(tape, full_BMTC, key_.var), v = ops::linear(tape, full_BMTC, value_.var);
    Tensor positions_SC = positions.get(tape.exec(), k.size(1), channels_, q.dtype());
    return ops::linear(tape, ops::xl_attention(tape, q, k, v, positions_SC, parameters()), output_.var);
}

Var XlAttention::decode(Tape& tape, const Var& x_BtC, KeyValueCache& cache, Size limit, PositionTable& positions) const {
    auto append = [&](Tensor& seen, const Var& rows) {
        if (seen.defined()) return ops::concat_memory(tape, seen, rows);
        return rows;
    };
    Var keys = append(cache.keys, ops::linear(tape, x_BtC, key_.var));
    Var values = append(cache.values, ops::linear(tape, x_BtC, value_.var));
    Size S = keys.size(1), have = cache.positions.defined() ? cache.positions.size(0) : 0;
    if (have < S) {
        Tensor positions_SC = positions.get(tape.exec(), std::max(S, 2 * have), channels_, keys.dtype());
        cache.positions = ops::project_positions(tape.exec(), positions_SC, position_.var);
        have = positions_SC.size(0);
    }
    Tensor r_SF = cache.positions.row_range(have - S, S);
    Var q = ops::linear(tape, x_BtC, query_.var);
    Var y = ops::linear(tape, ops::xl_attention_projected(tape, q, keys, values, r_SF, parameters()), output_.var);
    Size kept = std::min(limit, keys.size(1));
    cache.keys = ops::slice_rows(tape, keys, kept).value();
    cache.values = ops::slice_rows(tape, values, kept).value();
    return y;
}

}  // namespace nn
