#pragma once
// What every device does alike with the half-scores of one token and head.
#include "engine/base/here.h"
#include "moe/kernels/product_keys.h"

namespace moe::kernels::inline ENGINE_DEVICE {

// Ranks of a half that are kept: one more than K, so that the best pair outside the grid can be seen.
ENGINE_BOTH inline Size kept_ranks(const ProductKeys& keys) { return keys.k < keys.sub_keys ? keys.k + 1 : keys.sub_keys; }

// Pairs (i,j) with (i+1)(j+1) ≤ K of row i.
ENGINE_BOTH inline Size grid_columns(Size i, Size K, Size kept) { return K / (i + 1) < kept ? K / (i + 1) : kept; }
ENGINE_BOTH inline Size grid_pairs(Size K, Size kept) {
    Size pairs = 0;
    for (Size i = 0; i < kept && i < K; ++i) pairs += grid_columns(i, K, kept);
    return pairs;
}

// A pair outside the grid has the sum `last`: dominated by K others, yet perhaps of a lower slot than one that was taken.
template <class S>
ENGINE_BOTH inline bool outside_ties(const S* best0, const S* best1, Size K, Size kept, S last) {
    for (Size i = 0; i < kept; ++i) {
        Size j = K / (i + 1);
        if (j < kept && best0[i] + best1[j] == last) return true;
    }
    return false;
}

// Takes the equal sums at the end of the K again, by rising slot among all P² pairs.
template <class S>
ENGINE_BOTH inline void resolve_ties(std::int32_t* ids, S* scores, Size K, const S* half0, const S* half1, Size P, S best1) {
    S last = scores[K - 1];
    Size rank = 0;
    while (scores[rank] > last) ++rank;
    for (Size i = 0; i < P; ++i) {
        if (!(half0[i] + best1 >= last)) continue;
        for (Size j = 0; j < P; ++j) {
            if (half0[i] + half1[j] != last) continue;
            ids[rank] = static_cast<std::int32_t>(i * P + j);
            scores[rank] = last;
            if (++rank == K) return;
        }
    }
}

// The row of `subkeys` behind half `part` of a slot.
ENGINE_BOTH inline std::int32_t sub_key_row(const ProductKeys& keys, Size head, int part, std::int32_t slot) {
    Size index = part == 0 ? slot / keys.sub_keys : slot % keys.sub_keys;
    return static_cast<std::int32_t>(((keys.shares_sub_keys ? 0 : head) * 2 + part) * keys.sub_keys + index);
}

// Where choice k of a head goes in product_key_choices.
ENGINE_BOTH inline Size half_choice(const ProductKeys& keys, Size token, Size head, int part, Size k) {
    return keys.shares_query ? ((token * 2 + part) * keys.heads + head) * keys.k + k
                             : ((token * keys.heads + head) * 2 + part) * keys.k + k;
}

template <class S>
ENGINE_BOTH inline void no_order(std::int32_t* ids, S* scores, Size K, S value) {
    for (Size k = 0; k < K; ++k) {
        ids[k] = static_cast<std::int32_t>(k);
        scores[k] = value;
    }
}

}  // namespace moe::kernels::inline ENGINE_DEVICE
