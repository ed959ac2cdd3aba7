#pragma once
// The largest of a row of values, for the CPU: a threshold below them, then ranks among those above it, without branches on values.
#include "engine/base/dtype.h"
#include "engine/base/here.h"
#include "engine/kernels/tile/arena.h"

#include <algorithm>
#include <limits>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace moe::kernels::inline ENGINE_DEVICE {

using engine::Size;

template <class S>
struct Ranked {
    S value;
    std::int32_t id;
    bool operator<(const Ranked& other) const { return value != other.value ? value > other.value : id < other.id; }
};

template <class S>
class TopOf {
  public:
    // For rows of at most `most` values.
    explicit TopOf(Size most) : room_((most + 2 * kLanes) / kLanes * kLanes) {
        value_ = engine::kernels::tile::arena<5, S>(room_);
        id_ = engine::kernels::tile::arena<6, std::int32_t>(2 * room_);
        rank_ = id_ + room_;
    }

    // best[r], best_id[r], r < count: the values by falling size, ties to the lower id (null: the position). count ≤ n. NaN is never among
    // them; places that no value is left for get the value of their own position.
    void find(S* best, std::int32_t* best_id, const S* value, const std::int32_t* id, Size n, Size count) {
        Size m = keep_above(threshold(value, n, count), value, id, n);
        if (m > kMostRanked) {
            sort(best, best_id, m, count);
        } else {
            rank(best, best_id, m, count);
        }
        for (Size r = m; r < count; ++r) {
            best[r] = value[r];
            best_id[r] = id != nullptr ? id[r] : static_cast<std::int32_t>(r);
        }
    }

  private:
    static constexpr Size kLanes = 16, kMostRanked = 192;

    // At least `count` values are not below it: of more than `count` groups, the count-th largest maximum.
    S threshold(const S* value, Size n, Size count) {
        Size groups = (count + count / 4 + kLanes - 1) / kLanes * kLanes;
        S none = -std::numeric_limits<S>::infinity();
        if (groups > kMostRanked) return wide_threshold(value, n, count);
        if (groups * 2 > n) return none;
        S* most = value_;
        std::copy_n(value, groups, most);
        for (Size first = groups; first + groups <= n; first += groups) {
            for (Size g = 0; g < groups; ++g) most[g] = value[first + g] > most[g] ? value[first + g] : most[g];
        }
        std::fill_n(rank_, groups, 0);
        for (Size j = 0; j < groups; ++j) {
            S other = most[j];
            for (Size g = 0; g < groups; ++g) rank_[g] += other > most[g] ? 1 : 0;
        }
        S result = std::numeric_limits<S>::infinity();
        for (Size g = 0; g < groups; ++g) result = rank_[g] < count && most[g] < result ? most[g] : result;
        return result;
    }

    // For large counts: halves the range between smallest and largest while enough values stay above.
    S wide_threshold(const S* value, Size n, Size count) {
        S low = std::numeric_limits<S>::infinity(), high = -low;
        for (Size i = 0; i < n; ++i) low = value[i] < low ? value[i] : low, high = value[i] > high ? value[i] : high;
        S result = -std::numeric_limits<S>::infinity();
        for (int step = 0; step < 12; ++step) {
            S middle = low + (high - low) / 2;
            Size above = 0;
            for (Size i = 0; i < n; ++i) above += value[i] >= middle ? 1 : 0;
            if (above < count) {
                high = middle;
                continue;
            }
            low = result = middle;
            if (above <= count + count / 8) break;
        }
        return result;
    }

    // Values not below t, with their ids, in order.
    Size keep_above(S t, const S* value, const std::int32_t* id, Size n) {
        Size m = 0, i = 0;
#if defined(__AVX512F__)
        if constexpr (std::is_same_v<S, float>) {
            __m512 bound = _mm512_set1_ps(t);
            __m512i place = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            for (; i + kLanes <= n; i += kLanes) {
                __m512 in = _mm512_loadu_ps(value + i);
                __mmask16 above = _mm512_cmp_ps_mask(in, bound, _CMP_GE_OQ);
                __m512i names = id != nullptr ? _mm512_loadu_si512(id + i) : place;
                _mm512_storeu_ps(value_ + m, _mm512_maskz_compress_ps(above, in));
                _mm512_storeu_si512(id_ + m, _mm512_maskz_compress_epi32(above, names));
                m += __builtin_popcount(above);
                place = _mm512_add_epi32(place, _mm512_set1_epi32(static_cast<int>(kLanes)));
            }
        }
#endif
        for (; i < n; ++i) {
            value_[m] = value[i];
            id_[m] = id != nullptr ? id[i] : static_cast<std::int32_t>(i);
            m += value[i] >= t ? 1 : 0;
        }
        return m;
    }

    void rank(S* best, std::int32_t* best_id, Size m, Size count) {
        Size padded = (m + kLanes - 1) / kLanes * kLanes;
        std::fill_n(rank_, padded, 0);
        for (Size j = 0; j < m; ++j) {
            S other = value_[j];
            std::int32_t other_id = id_[j];
            for (Size i = 0; i < padded; ++i) rank_[i] += (other > value_[i]) | ((other == value_[i]) & (other_id < id_[i])) ? 1 : 0;
        }
        for (Size i = 0; i < m; ++i) {
            if (rank_[i] >= count) continue;
            best[rank_[i]] = value_[i];
            best_id[rank_[i]] = id_[i];
        }
    }

    void sort(S* best, std::int32_t* best_id, Size m, Size count) {
        auto* all = engine::kernels::tile::arena<7, Ranked<S>>(room_);
        for (Size i = 0; i < m; ++i) all[i] = {value_[i], id_[i]};
        Size wanted = std::min(m, count);
        std::nth_element(all, all + (wanted - 1), all + m);
        std::sort(all, all + wanted);
        for (Size r = 0; r < wanted; ++r) {
            best[r] = all[r].value;
            best_id[r] = all[r].id;
        }
    }

    Size room_;
    S* value_;
    std::int32_t *id_, *rank_;
};

}  // namespace moe::kernels::inline ENGINE_DEVICE
