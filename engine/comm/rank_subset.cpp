#include "engine/comm/rank_subset.h"

#include "engine/base/error.h"
#include "engine/comm/shares.h"

#include <algorithm>

namespace engine {

RankSubset::RankSubset(Communicator& all, std::vector<int> members) : all_(all), members_(std::move(members)) {
    auto own = std::ranges::find(members_, all.rank());
    expect(own != members_.end(), "ranks", "a rank is no member of its own subset: got rank {}", all.rank());
    rank_ = static_cast<int>(own - members_.begin());
}

std::vector<Tensor> RankSubset::among_all(const std::vector<Tensor>& of_members) const {
    std::vector<Tensor> all(static_cast<std::size_t>(all_.size()));
    for (std::size_t m = 0; m < members_.size(); ++m) all[static_cast<std::size_t>(members_[m])] = of_members[m];
    return all;
}

void RankSubset::exchange(Exec& exec, std::string_view collective, const std::vector<Tensor>& sends, const std::vector<Tensor>& receives) {
    all_.exchange(exec, collective, among_all(sends), among_all(receives));
}

Communicator::Ticket RankSubset::begin_exchange(Exec& exec, std::string_view collective, const std::vector<Tensor>& sends,
                                                const std::vector<Tensor>& receives) {
    return all_.begin_exchange(exec, collective, among_all(sends), among_all(receives));
}

RankSubset sharers_of(const Exec& exec, int width) { return {*exec.sharing.ranks, group_of(exec.sharing.ranks->rank(), width)}; }

}  // namespace engine
