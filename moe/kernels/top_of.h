#pragma once
// The largest of a row of values, for the CPU: a threshold below them, then ranks among those above it, without branches on values.
#include "engine/kernels/tile/arena.h"
#include "engine/kernels/tile/vector.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

namespace moe::kernels::inline ENGINE_DEVICE {

using engine::Size;

template <class S>
class Ranked {
  public:
    Ranked() = default;
    Ranked(S value, std::int32_t id) : value_(value), id_(id) {}
    bool operator<(const Ranked& other) const { return value_ != other.value_ ? value_ > other.value_ : id_ < other.id_; }
    S value() const { return value_; }
    std::int32_t id() const { return id_; }

  private:
    S value_;
    std::int32_t id_;
};

// The same order as that of one integer: the value's bits, turned so that they fall as it rises, then the id.
template <>
class Ranked<float> {
  public:
    Ranked() = default;
    Ranked(float value, std::int32_t id) : key_(std::uint64_t{falling(value)} << 32 | static_cast<std::uint32_t>(id)) {}
    bool operator<(const Ranked& other) const { return key_ < other.key_; }
    float value() const {
        auto bits = static_cast<std::uint32_t>(key_ >> 32);
        return std::bit_cast<float>((bits & kSign) != 0 ? bits : ~bits & ~kSign);
    }
    std::int32_t id() const { return static_cast<std::int32_t>(static_cast<std::uint32_t>(key_)); }

  private:
    static constexpr std::uint32_t kSign = 0x80000000u;
    static std::uint32_t falling(float value) {
        auto bits = std::bit_cast<std::uint32_t>(value + 0.0f);  // −0 equals 0
        return (bits & kSign) != 0 ? bits : ~bits & ~kSign;
    }
    std::uint64_t key_;
};

template <class S>
class TopOf {
    // Ids are as wide as values, so that one comparison's mask fits the other's.
    using Id = std::conditional_t<std::is_same_v<S, double>, std::int64_t, std::int32_t>;
    using Values = engine::kernels::tile::Vector<S>;
    using Ids = engine::kernels::tile::Vector<Id>;

  public:
    // For rows of at most `most` values.
    explicit TopOf(Size most) : room_((most + 4 * kLanes) / kLanes * kLanes) {
        value_ = engine::kernels::tile::arena<5, S>(2 * room_);
        id_ = engine::kernels::tile::arena<6, Id>(2 * room_);
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
    static constexpr Size kLanes = engine::kernels::tile::kLanes<S>, kMostRanked = 192;
    static constexpr S kInfinity = std::numeric_limits<S>::infinity();

    // At least `count` values are not below it: of more than `count` groups, the count-th largest maximum.
    S threshold(const S* value, Size n, Size count) {
        Size groups = (count + count / 4 + kLanes - 1) / kLanes * kLanes;
        if (groups > kMostRanked) return wide_threshold(value, n, count);
        if (groups * 2 > n) return -kInfinity;
        S* most = value_;
        std::copy_n(value, groups, most);
        for (Size first = groups; first + groups <= n; first += groups) {
            for (Size g = 0; g < groups; ++g) most[g] = value[first + g] > most[g] ? value[first + g] : most[g];
        }
        auto least = broadcast_value(kInfinity);
        for (Size first = 0; first < groups; first += kLanes) {
            Values own = engine::kernels::tile::load_vector(most + first);
            Ids above = {};
            for (Size j = 0; j < groups; ++j) above -= broadcast_value(most[j]) > own;
            Values candidate = above < broadcast_id(count) ? own : broadcast_value(kInfinity);
            least = candidate < least ? candidate : least;
        }
        S result = least[0];
        for (int l = 1; l < kLanes; ++l) result = least[l] < result ? least[l] : result;
        return result;
    }

    // For large counts: halves the range between smallest and largest while enough values stay above.
    S wide_threshold(const S* value, Size n, Size count) {
        S low = kInfinity, high = -kInfinity, result = -kInfinity;
        for (Size i = 0; i < n; ++i) low = value[i] < low ? value[i] : low, high = value[i] > high ? value[i] : high;
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

    // Values not below t, with their ids, in order; how many.
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
            id_[m] = id != nullptr ? id[i] : static_cast<Id>(i);
            m += value[i] >= t ? 1 : 0;
        }
        return m;
    }

    // Ranks are a permutation, so every value has a place of its own.
    void rank(S* best, std::int32_t* best_id, Size m, Size count) {
        S* ordered = value_ + room_;
        Id* ordered_id = id_ + room_;
        for (Size first = 0; first < m; first += kLanes) {
            Values own = engine::kernels::tile::load_vector(value_ + first);
            Ids own_id = engine::kernels::tile::load_vector(id_ + first), place = {};
            for (Size j = 0; j < m; ++j) {
                Values other = broadcast_value(value_[j]);
                place -= (other > own) | ((other == own) & (broadcast_id(id_[j]) < own_id));
            }
            int lanes = static_cast<int>(std::min(kLanes, m - first));
            for (int l = 0; l < lanes; ++l) {
                ordered[place[l]] = own[l];
                ordered_id[place[l]] = own_id[l];
            }
        }
        for (Size r = 0; r < std::min(m, count); ++r) {
            best[r] = ordered[r];
            best_id[r] = static_cast<std::int32_t>(ordered_id[r]);
        }
    }

    void sort(S* best, std::int32_t* best_id, Size m, Size count) {
        Size wanted = std::min(m, count);
        if (wanted == 0) return;
        auto* all = engine::kernels::tile::arena<7, Ranked<S>>(room_);
        for (Size i = 0; i < m; ++i) all[i] = Ranked<S>(value_[i], static_cast<std::int32_t>(id_[i]));
        std::nth_element(all, all + (wanted - 1), all + m);
        std::sort(all, all + wanted);
        for (Size r = 0; r < wanted; ++r) {
            best[r] = all[r].value();
            best_id[r] = all[r].id();
        }
    }

    static Values broadcast_value(S value) { return engine::kernels::tile::broadcast(value); }
    static Ids broadcast_id(Size value) { return Ids{} + static_cast<Id>(value); }

    Size room_;
    S* value_;
    Id* id_;
};

}  // namespace moe::kernels::inline ENGINE_DEVICE
