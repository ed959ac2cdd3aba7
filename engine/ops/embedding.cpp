#include "engine/ops/embedding.h"

#include "engine/autograd/shard_sum.h"
#include "engine/base/profile.h"
#include "engine/kernels/embedding.h"

namespace engine::ops {
namespace {

struct EmbeddingNode final : Node {
    Var table_VC, y;
    Tensor ids;

    EmbeddingNode(Var table, Var y_, Tensor ids_) : table_VC(std::move(table)), y(std::move(y_)), ids(std::move(ids_)) {}
    const char* name() const override { return "embedding"; }
    bool is_reached() const override { return y.has_grad(); }
    void backward(Exec& exec) override {
        sum_over_shards(exec, table_VC.grad_slot(exec), y.shape().rows(), [&](const Tensor& out, bool add, Size first, Size count) {
            visit(exec, y.dtype(), [&]<class D, class T>(On<D, T>) {
                kernels::embedding_backward<D, T>(exec, out.rows<Sum<T>>(), y.grad().rows<T>().slice(first, count),
                                                  ids.data<std::int32_t>() + first, add);
            });
        });
    }
};

}  // namespace

Var embedding(Tape& tape, const Var& table_VC, const Tensor& ids_BT) {
    ProfileScope profile("embedding");
    expect(table_VC.shape().dims() == 2 && ids_BT.shape().dims() == 2, "embedding",
           "shapes: got table {} and ids {}, expected (V, C) and (B, T)", table_VC.shape().text(), ids_BT.shape().text());
    Exec& exec = tape.exec();
    Size V = table_VC.size(0), N = ids_BT.shape().elements();
    if (ids_BT.device().on_host()) {
        const std::int32_t* ids = ids_BT.data<std::int32_t>();
        for (Size n = 0; n < N; ++n) {
            expect(ids[n] >= 0 && ids[n] < V, "embedding", "token id is outside the vocabulary: got {} at position {}, expected 0 to {}",
                   ids[n], n, V - 1);
        }
    }
    bool recorded = tape.records({table_VC});
    Var y(Tensor(exec, {ids_BT.size(0), ids_BT.size(1), table_VC.size(1)}, table_VC.dtype()), recorded);
    visit(exec, y.dtype(), [&]<class D, class T>(On<D, T>) {
        kernels::embedding<D, T>(exec, y.value().rows<T>(), table_VC.value().rows<T>(), ids_BT.data<std::int32_t>());
    });
    if (recorded) tape.record(EmbeddingNode{table_VC, y, ids_BT});
    return y;
}

}  // namespace engine::ops
