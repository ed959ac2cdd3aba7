#pragma once
// Which text is for training, which for validation, which for the test: 90, 5 and 5 of 100 bytes.
//
// 20 documents or more: each stands whole in one split. They are lined up by the hash (XXH64) of their names and the line is cut at 90 and
// 95 of 100 bytes; a document belongs where its middle byte lies. So a share is right to half a document, the order of the input does not
// matter, and adding documents moves only those near the cuts. Every split gets one document at least.
//
// Fewer: the text is cut by position, documents in the order of their names. A cut that would fall inside a UTF-8 character moves on to the
// next one (at most 3 bytes), and the document it falls into is one document in each of the splits.
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace data {

enum class SplitId : std::uint8_t { train, valid, test };
inline constexpr std::size_t kSplits = 3;
inline constexpr std::array<std::string_view, kSplits> kSplitNames{"train", "valid", "test"};
inline constexpr std::size_t kWholeDocuments = 20;

struct DocumentKey {
    std::uint64_t hash = 0;
    std::int64_t bytes = 0;
};

// The split of each of at least 3 documents. Equal hashes stay in their order.
std::vector<SplitId> split_by_hash(std::span<const DocumentKey> documents);

// Cuts a text that comes piece by piece.
class PositionCutter {
  public:
    explicit PositionCutter(std::int64_t bytes)
        : cuts_{bytes / 100 * 90 + bytes % 100 * 90 / 100, bytes / 100 * 95 + bytes % 100 * 95 / 100} {}
    // The longest beginning of `piece` (not empty) that lies in one split, and that split. Call again with the rest.
    struct Part {
        SplitId split;
        std::size_t bytes;
    };
    Part next(std::string_view piece);

  private:
    std::array<std::int64_t, 2> cuts_;
    std::int64_t position_ = 0;
    std::size_t passed_ = 0;  // cuts behind us
};

}  // namespace data
