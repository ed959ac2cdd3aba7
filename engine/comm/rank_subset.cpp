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

void RankSubset::exchange(Exec& exec, std::string_view collective, const std::vector<Tensor>& sends, const std::vector<Tensor>& receives) {
    std::vector<Tensor> to(static_cast<std::size_t>(all_.size())), from(to.size());
    for (std::size_t m = 0; m < members_.size(); ++m) {
        to[static_cast<std::size_t>(members_[m])] = sends[m];
        from[static_cast<std::size_t>(members_[m])] = receives[m];
    }
    all_.exchange(exec, collective, to, from);
}

RankSubset sharers_of(const Exec& exec, int width) { return {*exec.sharing.ranks, group_of(exec.sharing.ranks->rank(), width)}; }

}  // namespace engine
