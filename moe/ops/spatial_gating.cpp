#include "moe/ops/spatial_gating.h"

#include "engine/autograd/shard_sum.h"
#include "engine/base/profile.h"
#include "engine/kernels/product.h"
#include "engine/ops/concat_memory.h"
#include "moe/kernels/chunk_gate.h"
#include "moe/kernels/chunk_norm.h"
#include "moe/kernels/chunk_route.h"
#include "moe/kernels/spatial_product.h"

namespace moe::ops {

using namespace engine;

namespace {

constexpr double kNormEps = 1e-5;

// A forward pass, step by step, with what the backward pass needs of each.
struct Unit {
    Var z_NF;
    SpatialParameters parameters;
    SpatialOptions options;
    kernels::Positions positions;
    Size B, T, W;
    ChunkRouting routing;
    Tensor means_GF, chances_GE;         // of the route, G = B·E
    Tensor mean_NE, rate_NE, normal_NH;  // of the norm
    Tensor gate_NH;

    Unit(const Var& z, Size length, const SpatialParameters& parameters_, const SpatialOptions& options_)
        : z_NF(z),
          parameters(parameters_),
          options(options_),
          positions{.context = parameters.weight.size(-1), .causal = options.causal},
          B(z.shape().rows() / length),
          T(length),
          W(z.size(-1) / (2 * options.experts)) {}

    // z's with half the columns.
    Shape half_shape() const {
        Shape shape;
        for (int i = 0; i + 1 < z_NF.shape().dims(); ++i) shape.append(z_NF.size(i));
        shape.append(options.experts * W);
        return shape;
    }
    Dtype dtype() const { return z_NF.dtype(); }
    kernels::Chunks chunks() const {
        return {B, T, options.experts, W, routing.ids_BE.defined() ? routing.ids_BE.data<std::int32_t>() : nullptr};
    }
    template <class T_>
    const Sum<T_>* gates() const {
        return routing.gates_BE.defined() ? routing.gates_BE.data<Sum<T_>>() : nullptr;
    }

    void route(Exec& exec) {
        Size E = options.experts, G = B * E;
        Dtype wide = sum_dtype(dtype());
        routing = {Tensor(exec, {B, E}, Dtype::i32), packed_tensor(exec, {B, E}, wide)};
        means_GF = Tensor(exec, {G, 2 * W}, wide);
        chances_GE = Tensor(exec, {G, E}, wide);
        kernels::Chunks plain{B, T, E, W};
        visit(exec, dtype(), [&]<class D, class T_>(On<D, T_>) {
            kernels::chunk_route<D, T_>(exec, routing.ids_BE.data<std::int32_t>(), routing.gates_BE.data<Sum<T_>>(),
                                        chances_GE.rows<Sum<T_>>(), means_GF.rows<Sum<T_>>(), z_NF.value().rows<T_>(),
                                        parameters.route.value().rows<T_>(), plain, std::min(T, options.prefix));
        });
    }
    void normalise(Exec& exec) {
        normal_NH = Tensor(exec, {B, T, options.experts * W}, dtype());
        mean_NE = Tensor(exec, {B * T * options.experts}, sum_dtype(dtype()));
        rate_NE = Tensor(exec, {B * T * options.experts}, sum_dtype(dtype()));
        visit(exec, dtype(), [&]<class D, class T_>(On<D, T_>) {
            kernels::chunk_norm<D, T_>(exec, normal_NH.rows<T_>(), mean_NE.data<Sum<T_>>(), rate_NE.data<Sum<T_>>(),
                                       z_NF.value().rows<T_>(), parameters.norm_weight.value().rows<T_>(),
                                       parameters.norm_bias.value().rows<T_>(), chunks(), kNormEps);
        });
    }
    // `keys_BSH`: the normalised rows from the sequences' first position on.
    Tensor mix(Exec& exec, const Tensor& keys_BSH) {
        gate_NH = Tensor(exec, half_shape(), dtype());
        Tensor h_NH(exec, gate_NH.shape(), dtype());
        visit(exec, dtype(), [&]<class D, class T_>(On<D, T_>) {
            kernels::spatial_product<D, T_>(exec, gate_NH.rows<T_>(), keys_BSH.rows<T_>(), parameters.weight.value().rows<T_>(),
                                            parameters.bias.value().rows<T_>(), chunks(), positions);
            kernels::chunk_gate<D, T_>(exec, h_NH.rows<T_>(), z_NF.value().rows<T_>(), gate_NH.rows<T_>(), gates<T_>(), options.tanh,
                                       chunks());
        });
        return h_NH;
    }
};

struct SpatialGatingNode final : Node {
    Unit unit;
    Var h;

    SpatialGatingNode(Unit unit_, Var h_) : unit(std::move(unit_)), h(std::move(h_)) {}
    const char* name() const override { return "spatial_gating"; }
    bool is_reached() const override { return h.has_grad(); }

    void backward(Exec& exec) override {
        const SpatialParameters& p = unit.parameters;
        kernels::Chunks chunks = unit.chunks();
        bool routed = p.route.defined();
        Tensor dz(exec, unit.z_NF.shape(), h.dtype()), dgate(exec, unit.gate_NH.shape(), h.dtype());
        Tensor dchance = routed ? Tensor(exec, {chunks.sequences * chunks.count}, sum_dtype(h.dtype())) : Tensor();
        visit(exec, h.dtype(), [&]<class D, class T>(On<D, T>) {
            kernels::chunk_gate_backward<D, T>(exec, dz.rows<T>(), dgate.rows<T>(), routed ? dchance.data<Sum<T>>() : nullptr,
                                               h.grad().rows<T>(), unit.z_NF.value().rows<T>(), unit.gate_NH.rows<T>(), unit.gates<T>(),
                                               unit.options.tanh, chunks);
        });
        spatial_gradients(exec, dgate);
        Tensor dnormal(exec, unit.normal_NH.shape(), h.dtype());
        visit(exec, h.dtype(), [&]<class D, class T>(On<D, T>) {
            kernels::spatial_product_backward<D, T>(exec, dnormal.rows<T>(), dgate.rows<T>(), p.weight.value().rows<T>(), chunks,
                                                    unit.positions);
        });
        norm_gradients(exec, dnormal);
        visit(exec, h.dtype(), [&]<class D, class T>(On<D, T>) {
            kernels::chunk_norm_backward<D, T>(exec, dz.rows<T>(), dnormal.rows<T>(), unit.z_NF.value().rows<T>(),
                                               p.norm_weight.value().rows<T>(), unit.mean_NE.data<Sum<T>>(), unit.rate_NE.data<Sum<T>>(),
                                               chunks);
        });
        if (routed) route_gradients(exec, dz, dchance);
        if (unit.z_NF.needs_grad()) unit.z_NF.give_grad(exec, dz);
    }

  private:
    // sum(out, add, the shard's sequences, its first row, its rows) for every micro-shard: whole sequences.
    template <class Sum_>
    void over_shards(Exec& exec, GradSlot slot, Sum_&& sum) {
        sum_over_shards(exec, slot, unit.B * unit.T, [&](const Tensor& out, bool add, Size first, Size count) {
            sum(out, add, unit.chunks().slice(first / unit.T, count / unit.T), first, count);
        });
    }

    void spatial_gradients(Exec& exec, const Tensor& dgate) {
        const SpatialParameters& p = unit.parameters;
        over_shards(exec, p.weight.grad_slot(exec), [&](const Tensor& out, bool add, const kernels::Chunks& shard, Size first, Size count) {
            visit(exec, h.dtype(), [&]<class D, class T>(On<D, T>) {
                kernels::spatial_weight_gradient<D, T>(exec, out.rows<Sum<T>>(), dgate.rows<T>().slice(first, count),
                                                       unit.normal_NH.rows<T>().slice(first, count), shard, unit.positions, add);
            });
        });
        over_shards(exec, p.bias.grad_slot(exec), [&](const Tensor& out, bool add, const kernels::Chunks& shard, Size first, Size count) {
            visit(exec, h.dtype(), [&]<class D, class T>(On<D, T>) {
                kernels::spatial_bias_gradient<D, T>(exec, out.rows<Sum<T>>(), dgate.rows<T>().slice(first, count), shard, unit.positions,
                                                     add);
            });
        });
    }

    void norm_gradients(Exec& exec, const Tensor& dnormal) {
        const SpatialParameters& p = unit.parameters;
        Size E = unit.options.experts;
        // Weights and biases as rows of one sum.
        Tensor both(exec, {2 * E, unit.W}, sum_dtype(h.dtype()));
        over_shards(exec, {both, false}, [&](const Tensor& out, bool, const kernels::Chunks& shard, Size first, Size count) {
            visit(exec, h.dtype(), [&]<class D, class T>(On<D, T>) {
                Rows<Sum<T>> sums = out.rows<Sum<T>>();
                kernels::chunk_norm_weight_gradient<D, T>(exec, sums.slice(0, E), sums.slice(E, E), dnormal.rows<T>().slice(first, count),
                                                          unit.z_NF.value().rows<T>().slice(first, count),
                                                          unit.mean_NE.data<Sum<T>>() + first * E, unit.rate_NE.data<Sum<T>>() + first * E,
                                                          shard);
            });
        });
        p.norm_weight.give_grad(exec, both.row_range(0, E).reshaped(p.norm_weight.shape()));
        p.norm_bias.give_grad(exec, both.row_range(E, E).reshaped(p.norm_bias.shape()));
    }

    void route_gradients(Exec& exec, const Tensor& dz, const Tensor& dchance) {
        Tensor dlogits(exec, unit.chances_GE.shape(), unit.chances_GE.dtype());
        visit(exec, h.dtype(), [&]<class D, class T>(On<D, T>) {
            using S = Sum<T>;
            kernels::chunk_route_backward<D, T>(
                exec, dlogits.rows<S>(), dz.rows<T>(), dchance.data<S>(), unit.routing.ids_BE.data<std::int32_t>(),
                unit.chances_GE.rows<S>(), unit.parameters.route.value().rows<T>(), unit.chunks(), std::min(unit.T, unit.options.prefix));
        });
        over_shards(exec, unit.parameters.route.grad_slot(exec),
                    [&](const Tensor& out, bool add, const kernels::Chunks& shard, Size first, Size) {
                        Size group = first / unit.T * shard.count, groups = shard.sequences * shard.count;
                        visit_sum(exec, dlogits.dtype(), [&]<class D, class S>(On<D, S>) {
                            engine::kernels::product<D, S, S>(exec, out.rows<S>(), unit.means_GF.rows<S>().slice(group, groups),
                                                              engine::kernels::Layout::transposed, dlogits.rows<S>().slice(group, groups),
                                                              engine::kernels::Layout::normal, add);
                        });
                    });
    }
};

void check(const Var& z_NF, Size length, Size seen, const SpatialParameters& parameters, const SpatialOptions& options) {
    Size context = parameters.weight.size(-1);
    expect(length >= 1 && z_NF.shape().rows() % length == 0, "spatial_gating",
           "rows are no whole sequences: got {}, expected a multiple of {}", z_NF.shape().text(), length);
    expect(seen + length <= context, "spatial_gating", "a sequence is longer than the context: got {} positions, expected at most {}",
           seen + length, context);
    expect(z_NF.size(-1) % (2 * options.experts) == 0, "spatial_gating", "z does not divide into chunks: got {}, expected (N, 2·{}·W)",
           z_NF.shape().text(), options.experts);
}

}  // namespace

SpatialResult spatial_gating(Tape& tape, const Var& z_NF, Size length, const SpatialParameters& parameters, const SpatialOptions& options) {
    ProfileScope profile("spatial_gating");
    check(z_NF, length, 0, parameters, options);
    Exec& exec = tape.exec();
    bool recorded =
        tape.records({z_NF, parameters.weight, parameters.bias, parameters.norm_weight, parameters.norm_bias, parameters.route});
    Unit unit(z_NF, length, parameters, options);
    if (parameters.route.defined()) unit.route(exec);
    unit.normalise(exec);
    SpatialResult result{Var(unit.mix(exec, unit.normal_NH), recorded), unit.routing};
    if (recorded) tape.record(SpatialGatingNode{std::move(unit), result.h_NH});
    return result;
}

SpatialResult spatial_gating_step(Tape& tape, const Var& z_NF, Size length, const SpatialParameters& parameters,
                                  const SpatialOptions& options, SpatialCache& cache) {
    ProfileScope profile("spatial_gating");
    Size seen = cache.rows_BSH.defined() ? cache.rows_BSH.size(1) : 0;
    check(z_NF, length, seen, parameters, options);
    expect(options.causal, "spatial_gating", "only a causal unit goes on position by position: got causal = false");
    Exec& exec = tape.exec();
    Unit unit(z_NF, length, parameters, options);
    if (parameters.route.defined() && seen == 0) {
        unit.route(exec);
    } else {
        unit.routing = cache.routing;
    }
    unit.normalise(exec);
    unit.positions.first = seen;
    Tensor keys_BSH = seen > 0 ? engine::ops::concat_memory(tape, cache.rows_BSH, Var(unit.normal_NH)).value() : unit.normal_NH;
    cache = {keys_BSH, unit.routing};
    return {Var(unit.mix(exec, keys_BSH)), unit.routing};
}

}  // namespace moe::ops
