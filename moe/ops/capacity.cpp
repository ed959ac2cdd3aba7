#include "moe/ops/capacity.h"

#include "engine/base/profile.h"
#include "engine/base/visit.h"
#include "moe/kernels/take_seats.h"

#include <algorithm>
#include <cmath>

namespace moe::ops {

using namespace engine;

Size capacity_seats(double factor, Size k, Size rows, Size experts) {
    double seats = std::ceil(factor * static_cast<double>(k) * static_cast<double>(rows) / static_cast<double>(experts));
    return static_cast<Size>(std::clamp(seats, 1.0, static_cast<double>(k * rows)));
}

Picks with_capacity(Exec& exec, const Picks& picks, Size experts, double factor) {
    ProfileScope profile("capacity");
    Size N = picks.kept_NK.size(0), K = picks.kept_NK.size(1), rows = rows_of_pass(exec, N);
    Size seats = capacity_seats(factor, K, rows, experts);
    Tensor whole = whole_pass(exec, picks.kept_NK), kept(exec, {rows, K}, Dtype::i32);
    visit_device(exec, [&]<class D>(D) {
        kernels::take_seats<D>(exec, kept.data<std::int32_t>(), whole.data<std::int32_t>(), rows, K, experts, seats);
    });
    return {picks.ids_NK, own_rows(exec, kept), std::min(N * K, experts * seats)};
}

}  // namespace moe::ops
