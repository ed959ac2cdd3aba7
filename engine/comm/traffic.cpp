#include "engine/comm/traffic.h"

namespace engine {
namespace {

Size bytes_without_padding(const Tensor& tensor) { return tensor.shape().elements() * element_bytes(tensor.dtype()); }

}  // namespace

void CountedRanks::exchange(Exec& exec, std::string_view collective, const std::vector<Tensor>& sends,
                            const std::vector<Tensor>& receives) {
    for (int r = 0; r < size(); ++r) {
        const Tensor& send = sends[static_cast<std::size_t>(r)];
        if (r != rank() && send.defined()) traffic_.exchanges += bytes_without_padding(send);
    }
    traffic_.exchange_calls += 1;
    ranks_.exchange(exec, collective, sends, receives);
}

void CountedRanks::all_gather(Exec& exec, const Tensor& whole, const Tensor& part) {
    traffic_.gathers += (size() - 1) * bytes_without_padding(part);
    traffic_.gather_calls += 1;
    ranks_.all_gather(exec, whole, part);
}

void CountedRanks::tree_sum(Exec& exec, const Tensor& sum) {
    count_sum(sum);
    ranks_.tree_sum(exec, sum);
}

void CountedRanks::tree_sum_parts(Exec& exec, const Tensor& sum, const std::vector<std::vector<Range>>& parts) {
    for (int r = 0; r < size(); ++r) {
        for (const Range& part : parts[static_cast<std::size_t>(r)])
            traffic_.sums += r != rank() ? part.elements * element_bytes(sum.dtype()) : 0;
    }
    traffic_.sum_calls += 1;
    ranks_.tree_sum_parts(exec, sum, parts);
}

void CountedRanks::plain_sum(Exec& exec, const Tensor& sum) {
    count_sum(sum);
    ranks_.plain_sum(exec, sum);
}

void CountedRanks::count_sum(const Tensor& sum) {
    traffic_.sums += 2 * bytes_without_padding(sum) * (size() - 1) / size();
    traffic_.sum_calls += 1;
}

}  // namespace engine
