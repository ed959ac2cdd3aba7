#include "moe/ops/second_choice.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "moe/ops/whole_pass.h"

namespace moe::ops {

using namespace engine;

Picks second_choice(Tape& tape, const Tensor& logits_NE, kernels::Second second, std::uint32_t site) {
    ProfileScope profile("second_choice");
    Exec& exec = tape.exec();
    Size N = logits_NE.shape().rows();
    if (!tape.training()) second = kernels::Second::all;
    expect(second == kernels::Second::all || exec.scalars != nullptr, "second_choice",
           "no seed and step for the second choice's chance: the exec has no scalars");
    Tensor ids(exec, {N, 2}, Dtype::i32), kept(exec, {N, 2}, Dtype::i32);
    visit_sum(exec, logits_NE.dtype(), [&]<class D, class S>(On<D, S>) {
        kernels::second_choice<D, S>(exec, ids.data<std::int32_t>(), kept.data<std::int32_t>(), logits_NE.rows<S>(), second, site,
                                     first_row(exec, N));
    });
    return {ids, kept, 2 * N};
}

}  // namespace moe::ops
