#include "apps/width_solver.h"

#include "engine/base/error.h"

#include <cmath>
#include <optional>
#include <string>

namespace apps {
namespace {

constexpr Size kWidest = Size{1} << 26;

class Search {
  public:
    Search(Size multiple, const std::function<double(Size)>& amount_at) : multiple_(multiple), amount_at_(amount_at) {}

    // `units` multiples; none where that width cannot be built.
    std::optional<double> at(Size units) {
        try {
            return amount_at_(units * multiple_);
        } catch (const engine::Error& error) {
            if (first_error_.empty()) first_error_ = error.what();
            return {};
        }
    }
    Size most() const { return std::max<Size>(1, kWidest / multiple_); }
    [[noreturn]] void impossible() const { throw engine::Error(first_error_); }

  private:
    Size multiple_;
    const std::function<double(Size)>& amount_at_;
    std::string first_error_;
};

// The narrowest width that can be built; such as n_experts ≥ k.
Size narrowest(Search& search) {
    Size possible = 1;
    while (!search.at(possible)) {
        possible *= 2;
        if (possible > search.most()) search.impossible();
    }
    Size impossible = possible / 2;
    while (possible - impossible > 1) {
        Size middle = impossible + (possible - impossible) / 2;
        (search.at(middle) ? possible : impossible) = middle;
    }
    return possible;
}

}  // namespace

Width nearest_width(double target, Size multiple, const std::function<double(Size)>& amount_at) {
    Search search(multiple, amount_at);
    Size low = narrowest(search), high = low;
    double below = *search.at(low);
    auto reaches = [&](std::optional<double> amount) { return !amount || *amount >= target; };
    if (below >= target) return {low * multiple, below};
    std::optional<double> above;
    do {
        if (high == search.most()) return {high * multiple, below};
        high = std::min(2 * high, search.most());
        above = search.at(high);
        if (reaches(above)) break;
        low = high;
        below = *above;
    } while (true);
    while (high - low > 1) {
        Size middle = low + (high - low) / 2;
        std::optional<double> amount = search.at(middle);
        if (reaches(amount)) {
            high = middle;
            above = amount;
        } else {
            low = middle;
            below = *amount;
        }
    }
    if (above && *above - target < target - below) return {high * multiple, *above};
    return {low * multiple, below};
}

}  // namespace apps
