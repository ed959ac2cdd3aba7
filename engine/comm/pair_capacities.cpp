#include "engine/comm/pair_capacities.h"

#include "engine/comm/shares.h"
#include "engine/tensor/transfer.h"

#include <algorithm>

namespace engine {

void PairCapacities::Capacity::note(Size need) {
    most_ = std::max(most_, need);
    bool comes_near = need > value_ - value_ / 8;
    if (++passes_ < kWindow && !comes_near) return;
    value_ = most_ + most_ / 4 + 8;
    most_ = 0;
    passes_ = 0;
}

void PairCapacities::begin_pass() {
    claims_ = 0;
    claimed_.clear();
    needs_.clear();
}

std::vector<Size> PairCapacities::claim(const std::vector<Size>& most) {
    std::size_t exchange = claims_++;
    std::vector<Size> claimed;
    if (!exact_ && exchange < capacities_.size()) {
        for (std::size_t i = 0; i < most.size(); ++i) claimed.push_back(std::min(capacities_[exchange][i].value(), most[i]));
    }
    claimed_.push_back(claimed);
    return claimed;
}

void PairCapacities::needed(const Tensor& needs) { needs_.push_back(needs); }

void PairCapacities::end_forward(Exec& exec) {
    if (needs_.empty()) return;
    Communicator& ranks = *exec.sharing.ranks;
    Size count = 0;
    for (const Tensor& needs : needs_) count += needs.shape().elements();
    Tensor own = packed_tensor(exec, {1, count}, Dtype::i32), all = packed_tensor(exec, {ranks.size(), count}, Dtype::i32);
    Size first = 0;
    for (const Tensor& needs : needs_) {
        copy(exec, own.view_at(first, needs.shape(), needs.shape().columns()), needs);
        first += needs.shape().elements();
    }
    ranks.all_gather(exec, all, own);
    read_.begin(exec, all);
    shards_.clear();
    for (int r = 0; r < ranks.size(); ++r) {
        shards_.push_back(exec.communicator == nullptr ? 1 : share_of(r, ranks.size(), pass_shards(exec)).count);
    }
}

bool PairCapacities::fits() {
    if (needs_.empty()) return true;
    std::vector<std::int32_t> all = read_.end();
    std::size_t count = all.size() / shards_.size(), at = 0;
    std::vector<std::vector<Size>> needs;
    bool fit = true;
    for (std::size_t exchange = 0; exchange < needs_.size(); ++exchange) {
        needs.emplace_back();
        for (Size i = 0; i < needs_[exchange].shape().elements(); ++i, ++at) {
            Size most = 0;
            for (std::size_t r = 0; r < shards_.size(); ++r)
                most = std::max(most, (all[r * count + at] + shards_[r] - 1) / Size{shards_[r]});
            needs.back().push_back(most);
            bool bounded = !claimed_[exchange].empty();
            fit = fit && (!bounded || most <= claimed_[exchange][static_cast<std::size_t>(i)]);
        }
    }
    exact_ = !fit;
    misfits_ += fit ? 0 : 1;
    // What followed the first exchange that lost something chose by wrong values.
    if (!fit) return false;
    capacities_.resize(std::max(capacities_.size(), needs.size()));
    for (std::size_t exchange = 0; exchange < needs.size(); ++exchange) {
        capacities_[exchange].resize(needs[exchange].size());
        for (std::size_t i = 0; i < needs[exchange].size(); ++i) capacities_[exchange][i].note(needs[exchange][i]);
    }
    return true;
}

}  // namespace engine
