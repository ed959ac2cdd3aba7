#include "engine/comm/communicator.h"

#include "engine/comm/tree_sums.h"
#include "engine/tensor/transfer.h"

#include <algorithm>

namespace engine {

void Communicator::all_gather(Exec& exec, const Tensor& whole, const Tensor& part) {
    Size rows = part.shape().rows();
    std::vector<Tensor> receives;
    for (int r = 0; r < size(); ++r) receives.push_back(whole.view_at(r * rows * whole.row_stride(), part.shape(), part.row_stride()));
    exchange(exec, "all_gather", std::vector<Tensor>(receives.size(), part), receives);
}

void Communicator::tree_sum(Exec& exec, const Tensor& sum) {
    if (size() == 1) return;
    Tensor flat = sum.is_packed() ? sum : packed_tensor(exec, sum.shape(), sum.dtype());
    if (!sum.is_packed()) copy(exec, flat, sum);
    // The slices of all ranks stay in a core's cache.
    constexpr Size kSlice = Size{1} << 17;
    Size count = flat.shape().elements(), most = std::min(count, kSlice * size());
    TreeSums sums(exec, sum.dtype(), most, 1);
    for (Size first = 0; first < count; first += most) {
        Size elements = std::min(most, count - first);
        sums.add(*this, flat.view_at(first, {elements}, elements));
    }
    sums.finish();
    if (!sum.is_packed()) copy(exec, sum, flat);
}

}  // namespace engine
