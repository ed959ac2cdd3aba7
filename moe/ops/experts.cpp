#include "moe/ops/experts.h"

#include "engine/autograd/shard_sum.h"
#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "engine/comm/shares.h"
#include "engine/kernels/activation.h"
#include "engine/kernels/grouped_product.h"
#include "moe/kernels/expert_exchange.h"
#include "moe/kernels/hidden_dropout.h"
#include "moe/kernels/route_sort.h"
#include "moe/ops/expert_exchange.h"

namespace moe::ops {

using namespace engine;
using engine::kernels::Layout;

namespace {

// The choices sorted by expert.
struct Routes {
    Size experts, choices;
    Tensor kept, offsets, token, position, shard_begin;

    Routes(Exec& exec, const Tensor& kept_NK, Size most_rows, Size E)
        : experts(E),
          choices(kept_NK.size(1)),
          kept(kept_NK),
          offsets(exec, {E + 1}, Dtype::i32),
          token(exec, {most_rows}, Dtype::i32),
          position(exec, {kept.shape().elements()}, Dtype::i32),
          shard_begin(exec, {(exec.shards.count + 1) * E}, Dtype::i32) {
        kernels::RouteArrays arrays{offsets.data<std::int32_t>(), token.data<std::int32_t>(), position.data<std::int32_t>(),
                                    shard_begin.data<std::int32_t>()};
        visit_device(exec, [&]<class D>(D) {
            kernels::route_sort<D>(exec, arrays, kept.data<std::int32_t>(), kept.size(0), choices, E, exec.shards.count);
        });
    }
    Size rows() const { return token.shape().elements(); }
    engine::kernels::Groups groups() const {
        return {experts,
                rows(),
                offsets.data<std::int32_t>(),
                token.data<std::int32_t>(),
                position.data<std::int32_t>(),
                kept.data<std::int32_t>(),
                choices};
    }
    const std::int32_t* begin(Size shard) const { return shard_begin.data<std::int32_t>() + shard * experts; }
};

// Whose rows this rank's experts compute: its own, or those of all ranks that share the experts.
struct Batch {
    std::shared_ptr<ExpertExchange> exchange;  // null: its own
    Tensor own_kept;                           // this rank's choices among all experts

    Batch(Exec& exec, const Picks& picks, Size own_experts) : own_kept(picks.kept_NK) {
        if (exec.sharing.experts > 1) exchange = std::make_shared<ExpertExchange>(exec, picks.kept_NK, own_experts);
    }
    Routes routes(Exec& exec, const Picks& picks, Size E) const {
        if (!exchange) return Routes(exec, picks.kept_NK, picks.most_rows, E);
        return Routes(exchange->exec(), exchange->ids_BK(), std::max<Size>(1, exchange->routed_rows()), E);
    }
    Exec& exec(Exec& own) const { return exchange ? exchange->exec() : own; }
    Tensor rows(const Tensor& own_NC) const { return exchange ? exchange->send_rows(own_NC) : own_NC; }
    Tensor choices(Exec& own, const Tensor& own_NK) const {
        return exchange ? gather_group(own, "gather_choices", own.sharing.experts, own_NK) : own_NK;
    }

    // y (N,C) (+)= what the experts make of a (R,G), by this rank's rows; scale (R) or undefined.
    void combine(Exec& exec, const Tensor& y, bool add, const Tensor& a, const Tensor& scale, const Tensor& w, Layout layout,
                 const engine::kernels::Groups& groups) const {
        if (!exchange) {
            return visit(exec, y.dtype(), [&]<class D, class T>(On<D, T>) {
                engine::kernels::grouped_combine_product<D, T>(exec, y.rows<T>(), add, a.rows<T>(), values<Sum<T>>(scale), w.rows<T>(),
                                                               layout, groups);
            });
        }
        Tensor products = packed_tensor(exec, {groups.rows, y.shape().columns()}, sum_dtype(y.dtype()));
        visit(exec, y.dtype(), [&]<class D, class T>(On<D, T>) {
            engine::kernels::grouped_rows_product<D, T>(exec, products.rows<Sum<T>>(), a.rows<T>(), values<Sum<T>>(scale), w.rows<T>(),
                                                        layout, groups);
        });
        Tensor home = exchange->bring_home(products, groups.position);
        visit(exec, y.dtype(), [&]<class D, class T>(On<D, T>) {
            kernels::sum_routed_rows<D, T>(exec, y.rows<T>(), add, home.rows<Sum<T>>(), exchange->home_position_NK(),
                                           own_kept.data<std::int32_t>(), own_kept.size(1));
        });
    }
    // One value a routed row as one a choice of this rank's rows.
    void to_choices(Exec& exec, const Tensor& out_NK, const Tensor& values_R, const engine::kernels::Groups& groups) const {
        Tensor home = exchange ? exchange->bring_home(values_R.reshaped({values_R.size(0), 1}), groups.position) : values_R;
        const std::int32_t* position = exchange ? exchange->home_position_NK() : groups.position;
        visit_sum(exec, out_NK.dtype(), [&]<class D, class S>(On<D, S>) {
            kernels::from_routed<D, S>(exec, out_NK.data<S>(), home.data<S>(), position, out_NK.shape().elements());
        });
    }

  private:
    template <class S>
    static const S* values(const Tensor& tensor) {
        return tensor.defined() ? tensor.data<S>() : nullptr;
    }
};

struct ExpertsNode final : Node {
    Var x, gates, w1, w2, w3, y;
    Batch batch;
    Routes routes;
    Tensor x_BC;                  // the batch's rows
    Tensor hidden_RG, linear_RG;  // before the activation; the gated linear unit's other factor
    Tensor gate_R;
    engine::ops::Activation kind{};
    kernels::HiddenDropout dropout;
    std::shared_ptr<WeightShare> w1_share;

    ExpertsNode(Batch b, Routes r) : batch(std::move(b)), routes(std::move(r)) {}
    const char* name() const override { return "experts"; }
    bool is_reached() const override { return y.has_grad(); }

    void backward(Exec& own_exec) override {
        Exec& exec = batch.exec(own_exec);
        engine::kernels::Groups groups = routes.groups();
        Tensor dy_BC = batch.rows(y.grad()), da_RG(exec, hidden_RG.shape(), hidden_RG.dtype());
        visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
            engine::kernels::grouped_gather_product<D, T>(exec, da_RG.rows<T>(), dy_BC.rows<T>(), w2.value().rows<T>(), Layout::transposed,
                                                          groups);
            drop<D, T>(exec, da_RG);
        });
        if (w2.needs_grad()) weight_gradient(exec, w2, activated(exec), dy_BC, false, gate_R);
        // Gates of 1 are no function of anything: their gradient is not formed.
        Tensor dgate_R = gates.needs_grad() ? Tensor(exec, gate_R.shape(), gate_R.dtype()) : Tensor();
        Tensor dlinear_RG = w3.defined() ? Tensor(exec, hidden_RG.shape(), hidden_RG.dtype()) : Tensor();
        visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
            engine::kernels::activation_backward<D, T>(exec, da_RG.rows<T>(), rows<T>(dlinear_RG),
                                                       dgate_R.defined() ? dgate_R.data<Sum<T>>() : nullptr, da_RG.rows<T>(),
                                                       hidden_RG.rows<T>(), rows<T>(linear_RG), gate_R.data<Sum<T>>(), kind);
        });
        if (gates.needs_grad()) {
            Tensor dgates = packed_tensor(exec, gates.shape(), gates.dtype());
            batch.to_choices(exec, dgates, dgate_R, groups);
            gates.give_grad(exec, dgates);
        }
        if (x.needs_grad()) {
            GradSlot dx = x.grad_slot(exec);
            batch.combine(exec, dx.tensor, dx.add, da_RG, {}, w1.value(), Layout::transposed, groups);
            if (w3.defined()) batch.combine(exec, dx.tensor, true, dlinear_RG, {}, w3.value(), Layout::transposed, groups);
        }
        if (w1.needs_grad() && w1_share) {
            share_w1(exec, da_RG);
        } else if (w1.needs_grad()) {
            weight_gradient(exec, w1, x_BC, da_RG, true, {});
        }
        if (w3.defined() && w3.needs_grad()) weight_gradient(exec, w3, x_BC, dlinear_RG, true, {});
    }

    template <class T>
    static Rows<T> rows(const Tensor& tensor) {
        return tensor.defined() ? tensor.rows<T>() : Rows<T>{};
    }

    // (R,G): the hidden values after activation and dropout.
    Tensor activated(Exec& exec) {
        Tensor a(exec, hidden_RG.shape(), hidden_RG.dtype());
        visit(exec, a.dtype(), [&]<class D, class T>(On<D, T>) {
            engine::kernels::activation<D, T>(exec, a.rows<T>(), hidden_RG.rows<T>(), rows<T>(linear_RG), kind);
            drop<D, T>(exec, a);
        });
        return a;
    }

    template <class D, class T>
    void drop(Exec& exec, const Tensor& a) {
        if (dropout.rate == 0) return;
        kernels::hidden_dropout<D, T>(exec, a.rows<T>(), routes.position.data<std::int32_t>(), routes.kept.shape().elements(), dropout);
    }

    void weight_gradient(Exec& exec, const Var& w, const Tensor& left, const Tensor& right, bool gather_left, const Tensor& scale_R) {
        // One "row" a micro-shard: the leaf takes its shard's part of every expert's rows.
        sum_over_shards(exec, w.grad_slot(exec), exec.shards.count, [&](const Tensor& out, bool add, Size shard, Size) {
            visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) {
                engine::kernels::grouped_weight_gradient<D, T>(exec, out.rows<Sum<T>>(), add, left.rows<T>(), right.rows<T>(), gather_left,
                                                               scale_R.defined() ? scale_R.data<Sum<T>>() : nullptr, routes.begin(shard),
                                                               routes.begin(shard + 1), routes.groups());
            });
        });
    }

    void share_w1(Exec& exec, const Tensor& da_RG) {
        w1_share->run = [on = exec, da_RG, rows = x_BC, own = routes](const Tensor& out, bool add, Size shard) {
            Exec group = on;
            visit(group, rows.dtype(), [&]<class D, class T>(On<D, T>) {
                engine::kernels::grouped_weight_gradient<D, T>(group, out.rows<Sum<T>>(), add, rows.rows<T>(), da_RG.rows<T>(), true,
                                                               nullptr, own.begin(shard), own.begin(shard + 1), own.groups());
            });
        };
    }
};

}  // namespace

Var experts(Tape& tape, const Var& x_NC, const Picks& picks, const Var& gates_NK, const Var& w1_ECG, const Var& w2_EGC, const Var& w3_ECG,
            engine::ops::Activation activation, float hidden_dropout, std::uint32_t site, const std::shared_ptr<WeightShare>& w1_share) {
    ProfileScope profile("experts");
    Size E = w1_ECG.size(0), C = w1_ECG.size(1), G = w1_ECG.size(2), N = x_NC.shape().rows();
    expect(x_NC.size(-1) == C && w2_EGC.shape() == Shape{E, G, C} && (!w3_ECG.defined() || w3_ECG.shape() == w1_ECG.shape()), "experts",
           "weights do not fit: got x {}, w1 {}, w2 {}", x_NC.shape().text(), w1_ECG.shape().text(), w2_EGC.shape().text());
    expect(picks.kept_NK.size(0) == N && gates_NK.shape() == picks.kept_NK.shape(), "experts",
           "choices do not fit: got {} and gates {}, expected ({}, K)", picks.kept_NK.shape().text(), gates_NK.shape().text(), N);
    Batch batch(tape.exec(), picks, E);
    Exec& exec = batch.exec(tape.exec());
    ExpertsNode node{batch, batch.routes(tape.exec(), picks, E)};
    node.x_BC = batch.rows(x_NC.value());
    Tensor gates_BK = batch.choices(tape.exec(), gates_NK.value());
    bool recorded = tape.records({x_NC, gates_NK, w1_ECG, w2_EGC, w3_ECG});
    Var y(Tensor(exec, x_NC.shape(), x_NC.dtype()), recorded);
    Shape routed{node.routes.rows(), G};
    node.hidden_RG = Tensor(exec, routed, x_NC.dtype());
    if (w3_ECG.defined()) node.linear_RG = Tensor(exec, routed, x_NC.dtype());
    node.gate_R = Tensor(exec, {routed[0]}, sum_dtype(x_NC.dtype()));
    if (tape.training() && hidden_dropout > 0) {
        expect(exec.scalars != nullptr, "experts", "no seed and step for dropout: the exec has no scalars");
        Size first_row = node.x_BC.shape().rows() / exec.shards.count * exec.shards.first;
        node.dropout = {hidden_dropout, site, first_row * picks.kept_NK.size(1)};
    }
    engine::kernels::Groups groups = node.routes.groups();
    node.kind = activation;
    visit(exec, x_NC.dtype(), [&]<class D, class T>(On<D, T>) {
        using S = Sum<T>;
        kernels::to_routed<D, S>(exec, node.gate_R.data<S>(), gates_BK.data<S>(), groups.position, gates_BK.shape().elements());
        auto product = [&](Rows<T> hidden, Rows<const T> w) {
            engine::kernels::grouped_gather_product<D, T>(exec, hidden, node.x_BC.rows<T>(), w, Layout::normal, groups);
        };
        product(node.hidden_RG.rows<T>(), w1_ECG.value().rows<T>());
        if (w3_ECG.defined()) product(node.linear_RG.rows<T>(), w3_ECG.value().rows<T>());
    });
    batch.combine(exec, y.value(), false, node.activated(exec), node.gate_R, w2_EGC.value(), Layout::normal, groups);
    if (recorded) {
        node.x = x_NC, node.gates = gates_NK, node.w1 = w1_ECG, node.w2 = w2_EGC, node.w3 = w3_ECG, node.y = y, node.w1_share = w1_share;
        tape.record(std::move(node));
    }
    return y;
}

}  // namespace moe::ops
