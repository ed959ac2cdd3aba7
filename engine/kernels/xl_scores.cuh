#pragma once
// Scores of xl_attention for some sequences at once, by products: what forward and backward pass share.
#include "engine/kernels/head_products.cuh"
#include "engine/kernels/xl_attention.h"
#include "engine/memory/scratch.h"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

// How many of `count` sequences at once: as many as keep each tensor of scores below 128 MB; few on simt, so that tests meet the case.
inline Size sequences_at_once(const XlAttentionShape& shape, Size count) {
    constexpr Size kElements = Size{1} << (std::is_same_v<Here, Cuda> ? 25 : 16);
    Size most = kElements / (shape.H * shape.T * vector_stride(shape.S));
    return most < 1 ? 1 : most < count ? most : count;
}

// One thread an element of q: with_content = q + u, with_position = q + v of T.
template <class T>
__global__ void xl_biased_queries_kernel(Rows<T> with_content, Rows<T> with_position, Rows<const T> q, const T* u, const T* v) {
    Size index = element_index();
    if (index >= q.rows * q.columns) return;
    Size n = index / q.columns, c = index % q.columns;
    float value = load(q(n, c));
    with_content(n, c) = store<T>(value + load(u[c]));
    with_position(n, c) = store<T>(value + load(v[c]));
}

// Scratch for `sequences` of them, and the operands of products with it.
template <class T>
class XlScores {
  public:
    XlScores(Exec& exec, const XlAttentionShape& shape, Size sequences)
        : shape_(shape),
          stride_(vector_stride(shape.S)),
          width_(vector_stride(shape.H * shape.Sh)),
          content_(exec, sequences * shape.H * shape.T * stride_),
          position_(exec, sequences * shape.H * shape.T * stride_),
          with_content_(exec, sequences * shape.T * width_),
          with_position_(exec, sequences * shape.T * width_) {}

    // By key: (q_i + u)·k_j; by place: (q_i + v)·r_t. Elements that do not exist are not written.
    void compute(Exec& exec, const XlAttentionInputs<T>& in, Size first, Size count) {
        Rows<const T> q = in.q.slice(first * shape_.T, count * shape_.T);
        launch("xl_biased_queries_kernel", xl_biased_queries_kernel<T>, element_grid(q.rows * q.columns), kElementThreads, 0, exec.stream,
               with_content().rows_of(q.rows), with_position().rows_of(q.rows), q, in.u, in.v_bias);
        head_product<T, float>(exec, scores(content_.data()), false, with_content().heads(), Along::k, keys(in.k, first), Along::k,
                               shape_.Sh, role(Scores::by_key, Role::c), {count, shape_.H});
        head_product<T, float>(exec, scores(position_.data()), false, with_position().heads(), Along::k, places(in.r), Along::k, shape_.Sh,
                               role(Scores::by_place, Role::c), {count, shape_.H});
    }

    // Queries with a bias, (sequences·T, H·Sh).
    struct Queries {
        T* data;
        Size stride;
        const XlAttentionShape& shape;
        Rows<T> rows_of(Size rows) const { return {data, rows, shape.H * shape.Sh, stride}; }
        HeadRows<const T> heads() const { return {data, shape.T, shape.Sh, stride, shape.T * stride, shape.Sh}; }
    };
    Queries with_content() const { return {with_content_.data(), width_, shape_}; }
    Queries with_position() const { return {with_position_.data(), width_, shape_}; }

    const float* content() const { return content_.data(); }
    const float* position() const { return position_.data(); }
    Size stride() const { return stride_; }
    Size elements(Size sequences) const { return sequences * shape_.H * shape_.T * stride_; }

    ScoreShape role(Scores kind, Role role) const { return {kind, role, shape_.T, shape_.S - shape_.T}; }
    // A tensor of scores, (sequences, H, T, S).
    template <class U>
    HeadRows<U> scores(U* data) const {
        return {data, shape_.T, shape_.S, stride_, shape_.H * shape_.T * stride_, shape_.T * stride_};
    }
    // Of sequences from `first` on: rows of keys or values, (B·S, H·Sh), or of queries, (B·T, H·Sh).
    template <class U>
    HeadRows<U> keys(Rows<U> k, Size first) const {
        return {k.row(first * shape_.S), shape_.S, shape_.Sh, k.stride, shape_.S * k.stride, shape_.Sh};
    }
    template <class U>
    HeadRows<U> queries(Rows<U> q, Size first) const {
        return {q.row(first * shape_.T), shape_.T, shape_.Sh, q.stride, shape_.T * q.stride, shape_.Sh};
    }
    // r or its gradient, (S, H·Sh): the same for every sequence.
    template <class U>
    HeadRows<U> places(Rows<U> r) const {
        return {r.data, shape_.S, shape_.Sh, r.stride, 0, shape_.Sh};
    }

  private:
    XlAttentionShape shape_;
    Size stride_, width_;
    Scratch<float> content_, position_;
    Scratch<T> with_content_, with_position_;
};

}  // namespace ENGINE_DEVICE

}  // namespace engine::kernels
