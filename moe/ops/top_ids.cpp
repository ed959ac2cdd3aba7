#include "moe/ops/top_ids.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "moe/kernels/top_ids.h"

namespace moe::ops {

using namespace engine;

namespace {

Picks pick(Exec& exec, const Tensor& scores_NE, Size K, kernels::ChoiceDropout dropout) {
    ProfileScope profile("top_ids");
    Size N = scores_NE.shape().rows(), E = scores_NE.size(-1);
    expect(K >= 1 && K <= E, "ffn", "k must be between 1 and n_experts: got k = {}, n_experts = {}; hint: set ffn.k", K, E);
    Tensor ids(exec, {N, K}, Dtype::i32), kept = dropout.rate > 0 ? Tensor(exec, {N, K}, Dtype::i32) : ids;
    visit_sum(exec, scores_NE.dtype(), [&]<class D, class S>(On<D, S>) {
        kernels::top_ids<D, S>(exec, ids.data<std::int32_t>(), dropout.rate > 0 ? kept.data<std::int32_t>() : nullptr, scores_NE.rows<S>(),
                               K, dropout);
    });
    return {ids, kept, N * K};
}

}  // namespace

Picks top_ids(Exec& exec, const Tensor& scores_NE, Size K) { return pick(exec, scores_NE, K, {}); }

Picks top_ids(Tape& tape, const Tensor& scores_NE, Size K, float dropout, std::uint32_t site) {
    Exec& exec = tape.exec();
    if (!tape.training() || dropout == 0) return pick(exec, scores_NE, K, {});
    expect(exec.scalars != nullptr, "top_ids", "no seed and step for expert dropout: the exec has no scalars");
    return pick(exec, scores_NE, K, {dropout, site, scores_NE.shape().rows() / exec.shards.count * exec.shards.first});
}

}  // namespace moe::ops
