#pragma once
// Fewer points for a chart, always the same ones: a series is cut into buckets, a bucket becomes one point.
#include <cstddef>
#include <span>
#include <vector>

namespace apps {

// Ascending starts of buckets over `rows` rows, the first 0; at most `most` (3 or more) buckets. They grow geometrically from single rows
// to an even width, so that the first steps, where a loss falls fastest, stay single on a logarithmic axis. All rows when they fit.
std::vector<std::size_t> bucket_starts(std::size_t rows, std::size_t most);

// Of `rows` rows at most `most` that stand alike: the first and the last among them.
std::vector<std::size_t> chosen_rows(std::size_t rows, std::size_t most);

struct Buckets {
    std::vector<double> mean, least, most;  // over the finite values; NaN in a bucket without any
};
Buckets bucket_values(std::span<const double> values, const std::vector<std::size_t>& starts);

}  // namespace apps
