#pragma once
// Products of attention: one for every sequence and head, of which one operand or the result may be scores, half of them zero.
#include "engine/kernels/tile_product.cuh"

namespace engine::kernels {

inline namespace ENGINE_DEVICE {

// A matrix for every sequence and head: the next one's begins `sequence` or `head` elements further.
template <class T>
struct HeadRows {
    T* data;
    Size rows, columns, stride;
    Size sequence, head;

    __device__ T* begin(Size b, Size h) const { return data + b * sequence + h * head; }
};

// Scores (T,S) of queries i. By key: j ≤ M + i exists. By place: t = j + T−1−i, so t ≥ T−1−i exists.
enum class Scores : std::uint8_t { none, by_key, by_place };

// Which of the three the scores are: c (T,S); a (T,S); or a's transpose, with k over queries.
enum class Role : std::uint8_t { none, c, a, a_transposed };

struct ScoreShape {
    Scores kind = Scores::none;
    Role role = Role::none;
    Size T = 0, M = 0;

    // Whether rows up to m_last and columns from n0 up to n_last of c hold an element that exists.
    __device__ bool has_any(Size m_last, Size n0, Size n_last) const {
        if (role != Role::c) return true;
        return kind == Scores::by_key ? n0 <= M + m_last : n_last >= T - 1 - m_last;
    }
    // Below which k, and from which, all products are with zeros, for rows m0 to m_last of c. Multiples of 32: what is summed together
    // stays so.
    __device__ Size first_k(Size m0, Size m_last) const {
        Size first = 0;
        if (role == Role::a && kind == Scores::by_place) first = T - 1 - m_last;
        if (role == Role::a_transposed) first = kind == Scores::by_key ? m0 - M : T - 1 - m_last;
        return first > 0 ? first / 32 * 32 : 0;
    }
    __device__ Size end_k(Size m_last, Size K) const {
        Size end = M + m_last + 1;
        return role == Role::a && kind == Scores::by_key && end < K ? end : K;
    }
};

template <class T>
__device__ inline TileOperand<T> head_operand(const HeadRows<const T>& rows, Size b, Size h, bool vectors) {
    return {.data = rows.begin(b, h), .stride = rows.stride, .columns = rows.columns, .first = 0, .end = rows.rows, .vectors = vectors};
}

// c (+)= Σ over `sequences` of a·b, or each sequence by itself where `sequences` is 1: blockIdx.z is sequence·heads + head.
template <class Tile, class T, class Out>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    head_product_kernel(HeadRows<Out> c, bool add, HeadRows<const T> a, HeadRows<const T> b, bool vectors, Size K, ScoreShape scores,
                        Size heads, Size sequences) {
    Size z = blockIdx.z, sequence = z / heads, head = z % heads;
    Size m0 = static_cast<Size>(blockIdx.y) * Tile::kM, n0 = static_cast<Size>(blockIdx.x) * Tile::kN;
    Size m_last = (m0 + Tile::kM < c.rows ? m0 + Tile::kM : c.rows) - 1,
         n_last = (n0 + Tile::kN < c.columns ? n0 + Tile::kN : c.columns) - 1;
    if (!scores.has_any(m_last, n0, n_last)) return;
    TileTarget<Out> target({c.begin(sequence, head), c.rows, c.columns, c.stride}, m0, n0);
    Tile tile;
    target.load_sums(tile, add);
    Size first_k = scores.first_k(m0, m_last), count = scores.end_k(m_last, K) - first_k;
    for (Size s = sequence; s < sequence + sequences && count > 0; ++s) {
        tile.add_product(from_k(head_operand(a, s, head, vectors), Tile::kAlongA, first_k, count),
                         from_k(head_operand(b, s, head, vectors), Tile::kAlongB, first_k, count), m0, n0, count);
        __syncthreads();
    }
    target.store_sums(tile, [](Size, Size, float sum) { return sum; });
}

template <class T>
bool has_vectors(const HeadRows<const T>& rows) {
    return has_vectors(rows.data, rows.stride) && rows.sequence % 8 == 0 && rows.head % 8 == 0;
}

struct HeadBatch {
    Size sequences, heads;
    bool summed = false;  // over the sequences
};

// c (rows, columns) and K as it names them; a lies along k or across, and so does b.
template <class T, class Out>
void head_product(Exec& exec, const HeadRows<Out>& c, bool add, const HeadRows<const T>& a, Along along_a, const HeadRows<const T>& b,
                  Along along_b, Size K, ScoreShape scores, HeadBatch batch) {
    Size depth = batch.heads * (batch.summed ? 1 : batch.sequences);
    Size tiles = c.columns > 64 ? depth * tiles_of(c.rows, 128) * tiles_of(c.columns, 128) : 0;
    with_tile<T>(tiles, along_a, along_b, [&]<class Tile>() {
        dim3 grid(tiles_of(c.columns, Tile::kN), tiles_of(c.rows, Tile::kM), static_cast<unsigned>(depth));
        launch("head_product_kernel", head_product_kernel<Tile, T, Out>, grid, Tile::kThreads, Tile::kSharedBytes, exec.stream, c, add, a,
               b, has_vectors(a) && has_vectors(b), K, scores, batch.heads, batch.summed ? batch.sequences : Size{1});
    });
}

}  // namespace ENGINE_DEVICE

}  // namespace engine::kernels
