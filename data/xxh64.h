#pragma once
// XXH64 with seed 0: the checksum of a store's files (`xxhsum -H1 FILE` prints the same) and the order of documents.
// Source: the xxHash fast digest algorithm, specification 0.1.1, section "XXH64". 32 bytes a round, several GB/s.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace data {

class Xxh64 {
  public:
    void add(const void* bytes, std::size_t count);
    // Of everything added so far.
    std::uint64_t digest() const;

  private:
    void round(const unsigned char* stripe);

    std::array<std::uint64_t, 4> lanes_{0x60EA27EEADC0B5D6u, 0xC2B2AE3D27D4EB4Fu, 0, 0x61C8864E7A143579u};
    std::array<unsigned char, 32> rest_{};  // the first size_ % 32 bytes wait for a whole stripe
    std::uint64_t size_ = 0;
};

std::uint64_t xxh64(std::string_view bytes);
// 16 lower-case hexadecimal digits.
std::string hex_of(std::uint64_t hash);

}  // namespace data
