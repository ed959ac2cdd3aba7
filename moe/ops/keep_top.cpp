#include "moe/ops/keep_top.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "moe/kernels/keep_top.h"

namespace moe::ops {

using namespace engine;

namespace {

struct KeepTopNode final : Node {
    Var x;
    KeptTop kept;

    KeepTopNode(Var x_, KeptTop kept_) : x(std::move(x_)), kept(std::move(kept_)) {}
    const char* name() const override { return "keep_top"; }
    bool is_reached() const override { return kept.y_NF.has_grad(); }
    void backward(Exec& exec) override {
        Tensor dx(exec, x.shape(), x.dtype());
        visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
            kernels::keep_top_backward<D, T>(exec, dx.rows<T>(), kept.y_NF.grad().rows<T>(), kept.ids_NK.data<std::int32_t>(),
                                             kept.ids_NK.size(1));
        });
        x.give_grad(exec, dx);
    }
};

}  // namespace

KeptTop keep_top(Tape& tape, const Var& x_NF, Size K) {
    ProfileScope profile("keep_top");
    Size N = x_NF.shape().rows(), F = x_NF.size(-1);
    expect(K >= 1 && K <= F, "ffn", "k must be between 1 and hidden: got k = {}, hidden = {}; hint: set ffn.k", K, F);
    Exec& exec = tape.exec();
    bool recorded = tape.records({x_NF});
    KeptTop kept{Var(Tensor(exec, x_NF.shape(), x_NF.dtype()), recorded), Tensor(exec, {N, K}, Dtype::i32)};
    visit(exec, x_NF.dtype(), [&]<class D, class T>(On<D, T>) {
        kernels::keep_top<D, T>(exec, kept.y_NF.value().rows<T>(), kept.ids_NK.data<std::int32_t>(), x_NF.value().rows<T>(), K);
    });
    if (recorded) tape.record(KeepTopNode{x_NF, kept});
    return kept;
}

}  // namespace moe::ops
