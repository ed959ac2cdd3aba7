#include "engine/comm/traffic.h"

#include "engine/comm/tree_sums.h"

namespace engine {
namespace {

Size bytes_without_padding(const Tensor& tensor) { return tensor.shape().elements() * element_bytes(tensor.dtype()); }

}  // namespace

void CountedRanks::count(std::string_view collective, const std::vector<Tensor>& sends) {
    bool sums = collective == kTreeSum;
    for (int r = 0; r < size(); ++r) {
        const Tensor& send = sends[static_cast<std::size_t>(r)];
        if (r != rank() && send.defined()) (sums ? traffic_.sums : traffic_.exchanges) += bytes_without_padding(send);
    }
    (sums ? traffic_.sum_calls : traffic_.exchange_calls) += 1;
}

void CountedRanks::exchange(Exec& exec, std::string_view collective, const std::vector<Tensor>& sends,
                            const std::vector<Tensor>& receives) {
    count(collective, sends);
    ranks_.exchange(exec, collective, sends, receives);
}

Communicator::Ticket CountedRanks::begin_exchange(Exec& exec, std::string_view collective, const std::vector<Tensor>& sends,
                                                  const std::vector<Tensor>& receives) {
    count(collective, sends);
    return ranks_.begin_exchange(exec, collective, sends, receives);
}

void CountedRanks::all_gather(Exec& exec, const Tensor& whole, const Tensor& part) {
    traffic_.gathers += (size() - 1) * bytes_without_padding(part);
    traffic_.gather_calls += 1;
    ranks_.all_gather(exec, whole, part);
}

void CountedRanks::plain_sum(Exec& exec, const Tensor& sum) {
    if (ranks_.has_plain_sum()) {
        traffic_.sums += 2 * bytes_without_padding(sum) * (size() - 1) / size();
        traffic_.sum_calls += 2;
        return ranks_.plain_sum(exec, sum);
    }
    tree_sum(exec, sum);
}

}  // namespace engine
