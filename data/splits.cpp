#include "data/splits.h"

#include "data/error.h"

#include <algorithm>
#include <numeric>

namespace data {

std::vector<SplitId> split_by_hash(std::span<const DocumentKey> documents) {
    std::size_t count = documents.size();
    expect(count >= kSplits, "splits", "too few documents to split: got {}, expected {}", count, kSplits);
    std::vector<std::size_t> line(count);
    std::iota(line.begin(), line.end(), std::size_t{0});
    std::stable_sort(line.begin(), line.end(), [&](std::size_t a, std::size_t b) { return documents[a].hash < documents[b].hash; });
    double total = 0;
    for (const DocumentKey& document : documents) total += static_cast<double>(document.bytes);
    // Where in the line validation and test begin.
    std::size_t valid = count, test = count;
    double before = 0;
    for (std::size_t i = 0; i < count; ++i) {
        double bytes = static_cast<double>(documents[line[i]].bytes), middle = before + bytes / 2;
        if (middle >= 0.90 * total) valid = std::min(valid, i);
        if (middle >= 0.95 * total) test = std::min(test, i);
        before += bytes;
    }
    test = std::clamp<std::size_t>(test, 2, count - 1);
    valid = std::clamp<std::size_t>(valid, 1, test - 1);
    std::vector<SplitId> splits(count);
    for (std::size_t i = 0; i < count; ++i) splits[line[i]] = i < valid ? SplitId::train : i < test ? SplitId::valid : SplitId::test;
    return splits;
}

PositionCutter::Part PositionCutter::next(std::string_view piece) {
    constexpr std::int64_t kMostFollowing = 3;  // bytes of a UTF-8 character behind its first
    auto follows = [&](std::size_t i) { return (static_cast<unsigned char>(piece[i]) & 0xC0u) == 0x80u; };
    auto size = static_cast<std::int64_t>(piece.size());
    for (; passed_ < cuts_.size(); ++passed_) {
        std::int64_t cut = cuts_[passed_] - position_, at = std::clamp<std::int64_t>(cut, 0, size);
        while (at < size && at < cut + kMostFollowing && follows(static_cast<std::size_t>(at))) ++at;
        if (at > 0) {
            position_ += at;
            return {static_cast<SplitId>(passed_), static_cast<std::size_t>(at)};
        }
    }
    position_ += size;
    return {SplitId::test, piece.size()};
}

}  // namespace data
