#include "apps/report_thinning.h"

#include "apps/json_lines.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace apps {

std::vector<std::size_t> bucket_starts(std::size_t rows, std::size_t most) {
    std::vector<std::size_t> starts;
    if (rows <= most) {
        starts.resize(rows);
        std::iota(starts.begin(), starts.end(), std::size_t{0});
        return starts;
    }
    double width = static_cast<double>(rows) / (static_cast<double>(most) * 2 / 3);
    double growth = std::pow(static_cast<double>(rows), 3.0 / static_cast<double>(most));
    for (double end = 1; end <= static_cast<double>(rows) && starts.size() < most; end += std::clamp(end * (growth - 1), 1.0, width)) {
        starts.push_back(static_cast<std::size_t>(end) - 1);
    }
    return starts;
}

std::vector<std::size_t> chosen_rows(std::size_t rows, std::size_t most) {
    std::vector<std::size_t> chosen = bucket_starts(rows, most);
    if (!chosen.empty() && chosen.back() != rows - 1) chosen.back() = rows - 1;
    return chosen;
}

Buckets bucket_values(std::span<const double> values, const std::vector<std::size_t>& starts) {
    Buckets buckets;
    for (std::size_t b = 0; b < starts.size(); ++b) {
        std::size_t end = b + 1 < starts.size() ? starts[b + 1] : values.size();
        double sum = 0, least = kNoNumber, most = kNoNumber;
        std::size_t count = 0;
        for (std::size_t i = starts[b]; i < end; ++i) {
            if (!std::isfinite(values[i])) continue;
            sum += values[i];
            least = count == 0 ? values[i] : std::min(least, values[i]);
            most = count == 0 ? values[i] : std::max(most, values[i]);
            count += 1;
        }
        buckets.mean.push_back(count > 0 ? sum / static_cast<double>(count) : kNoNumber);
        buckets.least.push_back(least);
        buckets.most.push_back(most);
    }
    return buckets;
}

}  // namespace apps
