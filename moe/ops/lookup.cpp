#include "moe/ops/lookup.h"

#include "engine/base/error.h"
#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "moe/kernels/lookup.h"

namespace moe::ops {

using namespace engine;

namespace {

// [first, first + count) holds numbers below `limit` only.
void expect_below(const Tensor& tensor, Size limit, const char* what) {
    if (!tensor.device().on_host()) return;
    const std::int32_t* values = tensor.data<std::int32_t>();
    for (Size i = 0; i < tensor.shape().elements(); ++i) {
        expect(values[i] >= 0 && values[i] < limit, "hash", "{} {} is out of range: got {}, expected 0 to {}", what, i, values[i],
               limit - 1);
    }
}

}  // namespace

Picks lookup(Exec& exec, const Tensor& table_VK, const Tensor& tokens_N, Size rows, Size experts) {
    ProfileScope profile("lookup");
    expect(tokens_N.defined() && tokens_N.shape().elements() == rows, "hash",
           "hash methods need one token id a row: got {}, expected ({}); hint: give token_ids",
           tokens_N.defined() ? tokens_N.shape().text() : "none", rows);
    expect_below(tokens_N, table_VK.size(0), "token id");
    Size K = table_VK.size(1);
    Tensor ids(exec, {rows, K}, Dtype::i32);
    visit_device(exec, [&]<class D>(D) {
        kernels::lookup<D>(exec, ids.data<std::int32_t>(), table_VK.data<std::int32_t>(), tokens_N.data<std::int32_t>(), rows, K);
    });
    expect_below(ids, experts, "hash.table's expert of choice");
    return {ids, ids, rows * K};
}

}  // namespace moe::ops
