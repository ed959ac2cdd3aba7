#include "moe/kernels/chunk_gate.h"

#include "engine/base/here.h"
#include "engine/base/threads.h"
#include "engine/kernels/lanes.h"
#include "engine/kernels/vector_math.h"

namespace moe::kernels {

using engine::Here;
using engine::load;
using engine::store;
using engine::kernels::tanh_of;

template <class D, class T>
void chunk_gate(Exec&, Rows<T> h, Rows<const T> z, Rows<const T> g, const Sum<T>* p, bool tanh, const Chunks& chunks) {
    engine::parallel_for(h.rows, [&](Size n) {
        for (Size i = 0; i < chunks.count; ++i) {
            const T *u = z.row(n) + chunks.u(i), *gate = g.row(n) + chunks.half(i);
            T* out = h.row(n) + chunks.half(i);
            Sum<T> scale = p != nullptr ? p[n / chunks.length * chunks.count + i] : Sum<T>(1);
            if (tanh) {
                for (Size j = 0; j < chunks.width; ++j) out[j] = store<T>(scale * load(u[j]) * tanh_of(load(gate[j])));
            } else {
                for (Size j = 0; j < chunks.width; ++j) out[j] = store<T>(scale * load(u[j]) * load(gate[j]));
            }
        }
    });
}

template <class D, class T>
void chunk_gate_backward(Exec&, Rows<T> dz, Rows<T> dg, Sum<T>* dp, Rows<const T> dh, Rows<const T> z, Rows<const T> g, const Sum<T>* p,
                         bool tanh, const Chunks& chunks) {
    using S = Sum<T>;
    engine::parallel_for(chunks.sequences * chunks.count, [&](Size group) {
        Size b = group / chunks.count, i = group % chunks.count;
        S scale = p != nullptr ? p[group] : S(1), sum = 0;
        for (Size n = b * chunks.length; n < (b + 1) * chunks.length; ++n) {
            const T *grad = dh.row(n) + chunks.half(i), *u = z.row(n) + chunks.u(i), *gate = g.row(n) + chunks.half(i);
            T *du = dz.row(n) + chunks.u(i), *dgate = dg.row(n) + chunks.half(i);
            auto factor = [&](Size j) { return tanh ? tanh_of(load(gate[j])) : load(gate[j]); };
            if (dp != nullptr) {
                sum += engine::kernels::sum_lanes<S>(chunks.width, [&](Size j) { return load(grad[j]) * load(u[j]) * factor(j); });
            }
            for (Size j = 0; j < chunks.width; ++j) {
                S value = factor(j), slope = tanh ? S(1) - value * value : S(1), dh_j = scale * load(grad[j]), u_j = load(u[j]);
                du[j] = store<T>(dh_j * value);
                dgate[j] = store<T>(dh_j * u_j * slope);
            }
        }
        if (dp != nullptr) dp[group] = sum;
    });
}

#define INSTANTIATE(T)                                                                                                        \
    template void chunk_gate<Here, T>(Exec&, Rows<T>, Rows<const T>, Rows<const T>, const Sum<T>*, bool, const Chunks&);      \
    template void chunk_gate_backward<Here, T>(Exec&, Rows<T>, Rows<T>, Sum<T>*, Rows<const T>, Rows<const T>, Rows<const T>, \
                                               const Sum<T>*, bool, const Chunks&);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(engine::bf16)
#undef INSTANTIATE

}  // namespace moe::kernels
