#include "engine/ops/dropout.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "engine/kernels/dropout.h"

namespace engine::ops {
namespace {

void run(Exec& exec, const Tensor& y, const Tensor& x, float rate, std::uint32_t site) {
    Size first_row = x.shape().rows() / exec.shards.count * exec.shards.first;
    visit(exec, x.dtype(),
          [&]<class D, class T>(On<D, T>) { kernels::dropout<D, T>(exec, y.rows<T>(), x.rows<T>(), rate, site, first_row); });
}

struct DropoutNode final : Node {
    Var x, y;
    float rate;
    std::uint32_t site;

    DropoutNode(Var x_, Var y_, float rate_, std::uint32_t site_) : x(std::move(x_)), y(std::move(y_)), rate(rate_), site(site_) {}
    const char* name() const override { return "dropout"; }
    bool is_reached() const override { return y.has_grad(); }
    void backward(Exec& exec) override {
        Tensor dx(exec, x.shape(), x.dtype());
        run(exec, dx, y.grad(), rate, site);
        x.give_grad(exec, dx);
    }
};

}  // namespace

Var dropout(Tape& tape, const Var& x, float rate, std::uint32_t site) {
    expect(rate >= 0 && rate < 1, "dropout", "rate must be in [0, 1): got {}", rate);
    if (!tape.training() || rate == 0) return x;
    ProfileScope profile("dropout");
    Exec& exec = tape.exec();
    expect(exec.scalars != nullptr, "dropout", "no seed and step: the exec has no scalars");
    bool recorded = tape.records({x});
    Var y(Tensor(exec, x.shape(), x.dtype()), recorded);
    run(exec, y.value(), x.value(), rate, site);
    if (recorded) tape.record(DropoutNode{x, y, rate, site});
    return y;
}

}  // namespace engine::ops
