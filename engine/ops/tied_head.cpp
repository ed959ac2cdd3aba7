#include "engine/ops/tied_head.h"

#include "engine/autograd/shard_sum.h"
#include "engine/base/profile.h"
#include "engine/kernels/product.h"
#include "engine/ops/rounded.h"

namespace engine::ops {
namespace {

using kernels::Layout;

struct TiedHeadNode final : Node {
    Var x, table_VC, y;

    TiedHeadNode(Var x_, Var table, Var y_) : x(std::move(x_)), table_VC(std::move(table)), y(std::move(y_)) {}
    const char* name() const override { return "tied_head"; }
    bool is_reached() const override { return y.has_grad(); }

    void backward(Exec& exec) override {
        Tensor dy = rounded(exec, y.grad(), x.dtype());
        if (x.needs_grad()) {
            GradSlot dx = x.grad_slot(exec);
            visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
                kernels::product<D, T, T>(exec, dx.tensor.rows<T>(), dy.rows<T>(), Layout::normal, table_VC.value().rows<T>(),
                                          Layout::normal, dx.add);
            });
        }
        if (!table_VC.needs_grad()) return;
        sum_over_shards(exec, table_VC.grad_slot(exec), x.shape().rows(), [&](const Tensor& out, bool add, Size first, Size count) {
            visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
                kernels::product<D, T, Sum<T>>(exec, out.rows<Sum<T>>(), dy.rows<T>().slice(first, count), Layout::transposed,
                                               x.value().rows<T>().slice(first, count), Layout::normal, add);
            });
        });
    }
};

}  // namespace

Var tied_head(Tape& tape, const Var& x, const Var& table_VC) {
    ProfileScope profile("tied_head");
    expect(table_VC.shape().dims() == 2 && x.size(-1) == table_VC.size(1), "tied_head",
           "table does not fit: got x {} and table {}, expected table (V, {})", x.shape().text(), table_VC.shape().text(), x.size(-1));
    Exec& exec = tape.exec();
    Shape shape;
    for (int i = 0; i + 1 < x.shape().dims(); ++i) shape.append(x.size(i));
    shape.append(table_VC.size(0));
    bool recorded = tape.records({x, table_VC});
    Var y(Tensor(exec, shape, sum_dtype(x.dtype())), recorded);
    visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
        kernels::product<D, T, Sum<T>>(exec, y.value().rows<Sum<T>>(), x.value().rows<T>(), Layout::normal, table_VC.value().rows<T>(),
                                       Layout::transposed, false);
    });
    if (recorded) tape.record(TiedHeadNode{x, table_VC, y});
    return y;
}

}  // namespace engine::ops
