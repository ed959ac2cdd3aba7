#include "moe/kernels/balanced_assignment.h"

#include "engine/base/threads.h"
#include "engine/memory/scratch.h"
#include "moe/kernels/auction_rule.h"

#include <algorithm>
#include <vector>

namespace moe::kernels {

using engine::Here;

inline namespace ENGINE_DEVICE {

constexpr Size kAuctionRows = 512;

struct Auction {
    const AuctionRule& rule;
    const Price* value;  // (N,E)
    std::int32_t* owner;
    std::vector<Price> price, bid;
    std::vector<std::vector<std::int32_t>> members;  // heaps, the weakest member first
    std::vector<std::int32_t> waiting, evicted;

    Auction(const AuctionRule& rule_, const Price* value_, std::int32_t* owner_)
        : rule(rule_), value(value_), owner(owner_), price(to_size(rule.E), 0), bid(to_size(rule.N)), members(to_size(rule.E)) {
        std::fill_n(owner, rule.N, -1);
    }
    static std::size_t to_size(Size i) { return static_cast<std::size_t>(i); }
    bool stronger(std::int32_t a, std::int32_t b) const {
        Price bid_a = bid[to_size(a)], bid_b = bid[to_size(b)];
        return bid_a != bid_b ? bid_a > bid_b : a < b;
    }
    Offer offer_of(Size n) const {
        Offer offer;
        for (Size e = 0; e < rule.E; ++e) offer.see(value[n * rule.E + e] - price[to_size(e)], static_cast<std::int32_t>(e));
        return offer;
    }

    // Rows whose expert is within ε of their best stay, at its price; the others wait.
    void begin(Price epsilon) {
        auto by_strength = [&](std::int32_t a, std::int32_t b) { return stronger(a, b); };
        for (auto& each : members) each.clear();
        for (Size n = 0; n < rule.N; ++n) {
            std::int32_t e = owner[n];
            bool stays = e >= 0 && value[n * rule.E + e] - price[to_size(e)] >= offer_of(n).best - epsilon;
            if (stays) bid[to_size(n)] = price[to_size(e)];
            if (!stays) owner[n] = -1;
            (stays ? members[to_size(e)] : waiting).push_back(static_cast<std::int32_t>(n));
        }
        for (auto& each : members) std::make_heap(each.begin(), each.end(), by_strength);
    }

    void round(Price epsilon) {
        auto by_strength = [&](std::int32_t a, std::int32_t b) { return stronger(a, b); };
        engine::parallel_blocks(static_cast<Size>(waiting.size()), kAuctionRows, [&](Size first, Size last) {
            for (Size i = first; i < last; ++i) {
                std::int32_t n = waiting[to_size(i)];
                Offer offer = offer_of(n);
                owner[n] = offer.expert;
                bid[to_size(n)] = price[to_size(offer.expert)] + offer.raise(epsilon);
            }
        });
        evicted.clear();
        for (std::int32_t n : waiting) {
            auto& own = members[to_size(owner[n])];
            own.push_back(n);
            std::push_heap(own.begin(), own.end(), by_strength);
            if (static_cast<Size>(own.size()) <= rule.seats(owner[n])) continue;
            std::pop_heap(own.begin(), own.end(), by_strength);
            evicted.push_back(own.back());
            own.pop_back();
        }
        for (std::int32_t n : waiting) {
            std::size_t e = to_size(owner[n]);
            if (static_cast<Size>(members[e].size()) == rule.seats(owner[n])) price[e] = bid[to_size(members[e].front())];
        }
        for (std::int32_t n : evicted) owner[n] = -1;
        waiting.swap(evicted);
    }
};

}  // namespace ENGINE_DEVICE

template <class D, class S>
void balanced_assignment(Exec& exec, std::int32_t* ids, Rows<const S> z) {
    Size N = z.rows, E = std::min(z.columns, N);
    double low = 0, high = 0;
    bool found = false;
    for (Size n = 0; n < N; ++n) {
        for (Size e = 0; e < E; ++e) {
            double value = static_cast<double>(z(n, e));
            if (!is_finite_score(value)) continue;
            low = found && low < value ? low : value;
            high = found && high > value ? high : value;
            found = true;
        }
    }
    AuctionRule rule(N, E, low, high);
    engine::Scratch<Price> values(exec, N * E);
    engine::parallel_blocks(N, kAuctionRows, [&](Size first, Size last) {
        for (Size n = first; n < last; ++n) {
            for (Size e = 0; e < E; ++e) values.data()[n * E + e] = rule.value(z(n, e));
        }
    });
    Auction auction(rule, values.data(), ids);
    for (Price epsilon = rule.first;; epsilon = AuctionRule::next(epsilon)) {
        auction.begin(epsilon);
        while (!auction.waiting.empty()) auction.round(epsilon);
        if (epsilon <= 1) break;
    }
}

template void balanced_assignment<Here, float>(Exec&, std::int32_t*, Rows<const float>);
template void balanced_assignment<Here, double>(Exec&, std::int32_t*, Rows<const double>);

}  // namespace moe::kernels
