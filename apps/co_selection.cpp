#include "apps/co_selection.h"

#include <algorithm>
#include <cmath>

namespace apps {

CoSelection::CoSelection(std::int64_t cells, std::int64_t choices) : cells_(cells), choices_(choices) {
    if (choices > 1 && cells <= kMostCells) together_.assign(static_cast<std::size_t>(cells * cells), 0);
}

void CoSelection::add(const std::vector<std::int32_t>& ids) {
    if (!counted()) return;
    std::vector<std::int32_t> row;
    for (auto first = ids.begin(); first != ids.end(); first += choices_) {
        row.assign(first, first + choices_);
        std::erase_if(row, [](std::int32_t id) { return id < 0; });
        std::sort(row.begin(), row.end());
        row.erase(std::unique(row.begin(), row.end()), row.end());
        if (!row.empty()) rows_ += 1;
        for (std::int32_t a : row) {
            for (std::int32_t b : row) together_[static_cast<std::size_t>(a * cells_ + b)] += 1;
        }
    }
}

std::vector<double> CoSelection::expected() const {
    auto E = static_cast<std::size_t>(counted() ? cells_ : 0);
    std::vector<double> expected(E * E);
    double all = 0;
    for (std::size_t e = 0; e < E; ++e) all += together_[e * E + e];
    // A row that chose a has its other choices among the rest, by their loads; half of what that says, and half of what b's rows say.
    double others = rows_ > 0 ? all / rows_ - 1 : 0;
    for (std::size_t a = 0; a < E; ++a) {
        for (std::size_t b = 0; b < E; ++b) {
            double of_a = together_[a * E + a], of_b = together_[b * E + b];
            double rows = of_a * of_b * others * 0.5 * (1 / (all - of_a) + 1 / (all - of_b));
            if (a != b && std::isfinite(rows)) expected[a * E + b] = rows;
        }
    }
    return expected;
}

}  // namespace apps
