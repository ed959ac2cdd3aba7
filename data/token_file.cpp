#include "data/token_file.h"

#include "data/byte_source.h"
#include "data/xxh64.h"

#include <algorithm>

namespace data {
namespace {

template <class Word>
std::uint32_t largest(const char* bytes, std::size_t size) {
    const auto* words = reinterpret_cast<const Word*>(bytes);
    Word most = 0;
    for (std::size_t i = 0; i < size / sizeof(Word); ++i) most = std::max(most, words[i]);
    return most;
}

template <class Word>
void widen(const char* bytes, std::int64_t first, std::int64_t count, std::int32_t* ids) {
    const auto* words = reinterpret_cast<const Word*>(bytes) + first;
    for (std::int64_t i = 0; i < count; ++i) ids[i] = static_cast<std::int32_t>(words[i]);
}

}  // namespace

void TokenFile::read(std::int64_t first, std::int64_t count, std::int32_t* ids) const {
    switch (token_bytes_) {
        case 1:
            return widen<std::uint8_t>(file_.data(), first, count, ids);
        case 2:
            return widen<std::uint16_t>(file_.data(), first, count, ids);
        default:
            return widen<std::uint32_t>(file_.data(), first, count, ids);
    }
}

// Block by block, so that the second look at a block finds it in the cache.
TokenFile::Contents TokenFile::contents() const {
    Xxh64 hash;
    Contents contents;
    for (std::int64_t at = 0; at < bytes(); at += kBlock) {
        auto size = static_cast<std::size_t>(std::min<std::int64_t>(kBlock, bytes() - at));
        const char* block = file_.data() + at;
        hash.add(block, size);
        switch (token_bytes_) {
            case 1:
                contents.largest = std::max(contents.largest, largest<std::uint8_t>(block, size));
                break;
            case 2:
                contents.largest = std::max(contents.largest, largest<std::uint16_t>(block, size));
                break;
            default:
                contents.largest = std::max(contents.largest, largest<std::uint32_t>(block, size));
        }
    }
    contents.checksum = hash.digest();
    file_.let_go();
    return contents;
}

}  // namespace data
