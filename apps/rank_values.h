#pragma once
#include "engine/comm/communicator.h"
#include "engine/tensor/transfer.h"

#include <vector>

namespace apps {

// Every rank's numbers, equally many, in rank order. Collective.
inline std::vector<double> values_of_ranks(engine::Exec& exec, const std::vector<double>& own) {
    auto count = static_cast<engine::Size>(own.size());
    engine::Tensor whole(exec, {engine::rank_count(exec) * count, 1}, engine::Dtype::f64);
    exec.communicator->all_gather(exec, whole, engine::from_host(exec, {count, 1}, engine::Dtype::f64, own));
    return engine::to_host<double>(exec, whole);
}

}  // namespace apps
