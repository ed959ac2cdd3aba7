#include "data/xxh64.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>

namespace data {
namespace {

static_assert(std::endian::native == std::endian::little, "stores and checksums are little-endian");

constexpr std::uint64_t kPrime1 = 0x9E3779B185EBCA87u, kPrime2 = 0xC2B2AE3D27D4EB4Fu, kPrime3 = 0x165667B19E3779F9u,
                        kPrime4 = 0x85EBCA77C2B2AE63u, kPrime5 = 0x27D4EB2F165667C5u;

template <class Word>
std::uint64_t load(const unsigned char* at) {
    Word word;
    std::memcpy(&word, at, sizeof word);
    return word;
}

std::uint64_t mixed(std::uint64_t lane, std::uint64_t input) { return std::rotl(lane + input * kPrime2, 31) * kPrime1; }

}  // namespace

void Xxh64::round(const unsigned char* stripe) {
    for (std::size_t i = 0; i < 4; ++i) lanes_[i] = mixed(lanes_[i], load<std::uint64_t>(stripe + 8 * i));
}

void Xxh64::add(const void* bytes, std::size_t count) {
    const auto* at = static_cast<const unsigned char*>(bytes);
    std::size_t waiting = size_ % 32;
    size_ += count;
    if (waiting > 0) {
        std::size_t taken = std::min(count, 32 - waiting);
        std::memcpy(rest_.data() + waiting, at, taken);
        at += taken;
        count -= taken;
        if (waiting + taken < 32) return;
        round(rest_.data());
    }
    for (; count >= 32; at += 32, count -= 32) round(at);
    if (count > 0) std::memcpy(rest_.data(), at, count);
}

std::uint64_t Xxh64::digest() const {
    std::uint64_t hash = lanes_[2] + kPrime5;
    if (size_ >= 32) {
        hash = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) + std::rotl(lanes_[3], 18);
        for (std::uint64_t lane : lanes_) hash = (hash ^ mixed(0, lane)) * kPrime1 + kPrime4;
    }
    hash += size_;
    const unsigned char* at = rest_.data();
    std::size_t left = size_ % 32;
    for (; left >= 8; at += 8, left -= 8) hash = std::rotl(hash ^ mixed(0, load<std::uint64_t>(at)), 27) * kPrime1 + kPrime4;
    for (; left >= 4; at += 4, left -= 4) hash = std::rotl(hash ^ load<std::uint32_t>(at) * kPrime1, 23) * kPrime2 + kPrime3;
    for (; left >= 1; ++at, --left) hash = std::rotl(hash ^ *at * kPrime5, 11) * kPrime1;
    hash = (hash ^ hash >> 33) * kPrime2;
    hash = (hash ^ hash >> 29) * kPrime3;
    return hash ^ hash >> 32;
}

std::uint64_t xxh64(std::string_view bytes) {
    Xxh64 hash;
    hash.add(bytes.data(), bytes.size());
    return hash.digest();
}

std::string hex_of(std::uint64_t hash) { return fmt::format("{:016x}", hash); }

}  // namespace data
