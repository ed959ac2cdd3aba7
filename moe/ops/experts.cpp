#include "moe/ops/experts.h"

#include "engine/autograd/shard_sum.h"
#include "engine/base/profile.h"
#include "engine/base/visit.h"
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
    Tensor choices(const Tensor& own_NK) const { return exchange ? exchange->gather(own_NK) : own_NK; }

    // y (N,C) (+)= what the experts make of a (R,G), by this rank's rows.
    template <class D, class T>
    void combine(Exec& exec, Rows<T> y, bool add, Rows<const T> a, const Sum<T>* scale, Rows<const T> w, Layout layout,
                 const engine::kernels::Groups& groups) const {
        if (!exchange) return engine::kernels::grouped_combine_product<D, T>(exec, y, add, a, scale, w, layout, groups);
        Tensor products = packed_tensor(exec, {groups.rows, y.columns}, dtype_of<Sum<T>>());
        engine::kernels::grouped_rows_product<D, T>(exec, products.rows<Sum<T>>(), a, scale, w, layout, groups);
        Tensor home = exchange->bring_home(products, groups.position);
        kernels::sum_routed_rows<D, T>(exec, y, add, home.rows<Sum<T>>(), exchange->home_position_NK(), own_kept.data<std::int32_t>(),
                                       own_kept.size(1));
    }
    // One value a routed row as one a choice of this rank's rows.
    template <class D, class S>
    void to_choices(Exec& exec, const Tensor& out_NK, const Tensor& values_R, const engine::kernels::Groups& groups) const {
        Size count = out_NK.shape().elements();
        if (!exchange) return kernels::from_routed<D, S>(exec, out_NK.data<S>(), values_R.data<S>(), groups.position, count);
        Tensor home = exchange->bring_home(values_R.reshaped({values_R.size(0), 1}), groups.position);
        kernels::from_routed<D, S>(exec, out_NK.data<S>(), home.data<S>(), exchange->home_position_NK(), count);
    }
};

struct ExpertsNode final : Node {
    Var x, gates, w1, w2, w3, y;
    Batch batch;
    Routes routes;
    Tensor x_BC;                  // the batch's rows
    Tensor hidden_RG, linear_RG;  // before the activation; the gated linear unit's other factor
    Tensor gate_R;
    engine::ops::Activation kind;
    kernels::HiddenDropout dropout;
    std::shared_ptr<WeightShare> w1_share;

    ExpertsNode(Batch b, Routes r) : batch(std::move(b)), routes(std::move(r)) {}
    const char* name() const override { return "experts"; }
    bool is_reached() const override { return y.has_grad(); }

    void backward(Exec& exec) override {
        visit(exec, x.dtype(), [&]<class D, class T>(On<D, T>) { run<D, T>(exec, batch.rows(y.grad())); });
    }

    template <class D, class T>
    void run(Exec& own_exec, const Tensor& dy_BC) {
        using S = Sum<T>;
        Exec& exec = batch.exec(own_exec);
        engine::kernels::Groups groups = routes.groups();
        bool glu = w3.defined();
        Rows<const T> dy = dy_BC.rows<T>(), hidden = hidden_RG.rows<T>(), linear = glu ? linear_RG.rows<T>() : Rows<const T>{};
        const S* gate = gate_R.data<S>();

        Tensor da(exec, hidden_RG.shape(), hidden_RG.dtype());
        engine::kernels::grouped_gather_product<D, T>(exec, da.rows<T>(), dy, w2.value().rows<T>(), Layout::transposed, groups);
        drop<D, T>(exec, da);
        if (w2.needs_grad()) {
            Tensor a(exec, hidden_RG.shape(), hidden_RG.dtype());
            engine::kernels::activation<D, T>(exec, a.rows<T>(), hidden, linear, kind);
            drop<D, T>(exec, a);
            weight_gradient<D, T>(exec, w2, a.rows<T>(), dy, false, gate, groups);
        }
        // Gates of 1 are no function of anything: their gradient is not formed.
        Tensor dgate_R = gates.needs_grad() ? Tensor(exec, gate_R.shape(), gate_R.dtype()) : Tensor();
        Tensor dlinear = glu ? Tensor(exec, hidden_RG.shape(), hidden_RG.dtype()) : Tensor();
        engine::kernels::activation_backward<D, T>(exec, da.rows<T>(), glu ? dlinear.rows<T>() : Rows<T>{},
                                                   dgate_R.defined() ? dgate_R.data<S>() : nullptr, da.rows<T>(), hidden, linear, gate,
                                                   kind);
        if (gates.needs_grad()) {
            Tensor dgates = packed_tensor(exec, gates.shape(), gates.dtype());
            batch.to_choices<D, S>(exec, dgates, dgate_R, groups);
            gates.give_grad(exec, dgates);
        }
        if (x.needs_grad()) {
            GradSlot dx = x.grad_slot(exec);
            batch.combine<D, T>(exec, dx.tensor.rows<T>(), dx.add, da.rows<T>(), nullptr, w1.value().rows<T>(), Layout::transposed, groups);
            if (glu) {
                batch.combine<D, T>(exec, dx.tensor.rows<T>(), true, dlinear.rows<T>(), nullptr, w3.value().rows<T>(), Layout::transposed,
                                    groups);
            }
        }
        if (w1.needs_grad() && w1_share) {
            w1_share->run = [&exec, da, value = x.value(), own = routes](const Tensor& out, bool add, Size shard) {
                engine::kernels::grouped_weight_gradient<D, T>(exec, out.rows<S>(), add, value.rows<T>(), da.rows<T>(), true, nullptr,
                                                               own.begin(shard), own.begin(shard + 1), own.groups());
            };
        } else if (w1.needs_grad()) {
            weight_gradient<D, T>(exec, w1, x_BC.rows<T>(), da.rows<T>(), true, nullptr, groups);
        }
        if (glu && w3.needs_grad()) weight_gradient<D, T>(exec, w3, x_BC.rows<T>(), dlinear.rows<T>(), true, nullptr, groups);
    }

    template <class D, class T>
    void drop(Exec& exec, const Tensor& a) {
        if (dropout.rate == 0) return;
        kernels::hidden_dropout<D, T>(exec, a.rows<T>(), routes.position.data<std::int32_t>(), routes.kept.shape().elements(), dropout);
    }

    template <class D, class T>
    void weight_gradient(Exec& exec, const Var& w, Rows<const T> left, Rows<const T> right, bool gather_left, const Sum<T>* scale,
                         const engine::kernels::Groups& groups) {
        // One "row" a micro-shard: the leaf takes its shard's part of every expert's rows.
        sum_over_shards(exec, w.grad_slot(exec), exec.shards.count, [&](const Tensor& out, bool add, Size shard, Size) {
            engine::kernels::grouped_weight_gradient<D, T>(exec, out.rows<Sum<T>>(), add, left, right, gather_left, scale,
                                                           routes.begin(shard), routes.begin(shard + 1), groups);
        });
    }
};

}  // namespace

Var experts(Tape& tape, const Var& x_NC, const Picks& picks, const Var& gates_NK, const Var& w1_ECG, const Var& w2_EGC, const Var& w3_ECG,
            engine::ops::Activation activation, float hidden_dropout, std::uint32_t site, const std::shared_ptr<WeightShare>& w1_share) {
    ProfileScope profile("experts");
    Size E = w1_ECG.size(0), C = w1_ECG.size(1), G = w1_ECG.size(2), N = x_NC.shape().rows();
    expect(tape.exec().sharing.experts == 1 || !w1_share, "experts", "weights that a selector reads cannot be divided among ranks");
    expect(x_NC.size(-1) == C && w2_EGC.shape() == Shape{E, G, C} && (!w3_ECG.defined() || w3_ECG.shape() == w1_ECG.shape()), "experts",
           "weights do not fit: got x {}, w1 {}, w2 {}", x_NC.shape().text(), w1_ECG.shape().text(), w2_EGC.shape().text());
    expect(picks.kept_NK.size(0) == N && gates_NK.shape() == picks.kept_NK.shape(), "experts",
           "choices do not fit: got {} and gates {}, expected ({}, K)", picks.kept_NK.shape().text(), gates_NK.shape().text(), N);
    Batch batch(tape.exec(), picks, E);
    Exec& exec = batch.exec(tape.exec());
    ExpertsNode node{batch, batch.routes(tape.exec(), picks, E)};
    node.x_BC = batch.rows(x_NC.value());
    Tensor gates_BK = batch.choices(gates_NK.value());
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
    visit(exec, x_NC.dtype(), [&]<class D, class T>(On<D, T>) {
        using S = Sum<T>;
        Rows<const T> x = node.x_BC.rows<T>();
        kernels::to_routed<D, S>(exec, node.gate_R.data<S>(), gates_BK.data<S>(), groups.position, gates_BK.shape().elements());
        engine::kernels::grouped_gather_product<D, T>(exec, node.hidden_RG.rows<T>(), x, w1_ECG.value().rows<T>(), Layout::normal, groups);
        if (w3_ECG.defined()) {
            engine::kernels::grouped_gather_product<D, T>(exec, node.linear_RG.rows<T>(), x, w3_ECG.value().rows<T>(), Layout::normal,
                                                          groups);
        }
        Tensor a(exec, routed, x_NC.dtype());
        engine::kernels::activation<D, T>(exec, a.rows<T>(), node.hidden_RG.rows<T>(),
                                          w3_ECG.defined() ? node.linear_RG.rows<T>() : Rows<const T>{}, activation);
        node.drop<D, T>(exec, a);
        batch.combine<D, T>(exec, y.value().rows<T>(), false, a.rows<T>(), node.gate_R.data<S>(), w2_EGC.value().rows<T>(), Layout::normal,
                            groups);
    });
    if (recorded) {
        node.x = x_NC, node.gates = gates_NK, node.w1 = w1_ECG, node.w2 = w2_EGC, node.w3 = w3_ECG, node.y = y, node.kind = activation,
        node.w1_share = w1_share;
        tape.record(std::move(node));
    }
    return y;
}

}  // namespace moe::ops
