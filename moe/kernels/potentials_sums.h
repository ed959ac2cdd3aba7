#pragma once
#include "engine/base/here.h"
#include "engine/kernels/vector_math.h"
#include "moe/kernels/exact_random.h"
#include "moe/kernels/potentials.h"

namespace moe::kernels::inline ENGINE_DEVICE {

constexpr Size kPotentialRows = 64;

// A sum of exponentials as its largest exponent and the rest; nothing yet where sum is 0.
template <class S>
struct ExpSum {
    S most = 0, sum = 0;
    ENGINE_BOTH void join(const ExpSum& other) {
        if (other.sum == S(0)) return;
        if (sum == S(0)) {
            *this = other;
            return;
        }
        S larger = most > other.most ? most : other.most;
        sum = sum * engine::kernels::exp_of(most - larger) + other.sum * engine::kernels::exp_of(other.most - larger);
        most = larger;
    }
    ENGINE_BOTH S log() const { return most + static_cast<S>(exact_log(static_cast<double>(sum))); }
};

// Σ exp(term(i)), i < count, in order.
template <class S, class Term>
ENGINE_BOTH inline ExpSum<S> exp_sum(Size count, Term&& term) {
    ExpSum<S> result;
    result.most = term(0);
    for (Size i = 1; i < count; ++i) {
        S value = term(i);
        result.most = value > result.most ? value : result.most;
    }
    for (Size i = 0; i < count; ++i) result.sum += engine::kernels::exp_of(term(i) - result.most);
    return result;
}

template <class S>
ENGINE_BOTH inline S row_potential(Rows<const S> z, Size n, const S* a, int sign) {
    const S* row = z.row(n);
    return -exp_sum<S>(z.columns, [=](Size e) { return a == nullptr ? row[e] : row[e] + static_cast<S>(sign) * a[e]; }).log();
}

// Rows [first, first + count) of column e.
template <class S>
ENGINE_BOTH inline ExpSum<S> column_part(Rows<const S> z, Size e, Size first, Size count, const S* b, int sign) {
    return exp_sum<S>(count,
                      [=](Size i) { return b == nullptr ? z(first + i, e) : z(first + i, e) + static_cast<S>(sign) * b[first + i]; });
}

template <class S>
ENGINE_BOTH inline S shifted(Rows<const S> z, Size n, Size e, const S* a, const S* b, bool exponential) {
    S value = z(n, e);
    if (a != nullptr) value += a[e];
    if (b != nullptr) value += b[n];
    return exponential ? engine::kernels::exp_of(value) : value;
}

}  // namespace moe::kernels::inline ENGINE_DEVICE
