#include "engine/simt/order.h"

#include "engine/base/error.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <mutex>

namespace engine::simt {
namespace {

std::mutex mutex;

Order& chosen() {
    static Order order = [] {
        const char* text = std::getenv("MOEGRAD_SIMT_ORDER");
        return text != nullptr && *text != '\0' ? parse_order(text) : Order{};
    }();
    return order;
}

}  // namespace

Order parse_order(std::string_view text) {
    if (text == "forward") return {};
    if (text == "backward") return {Direction::backward, 0};
    if (text == "random") return {Direction::random, 0};
    Order order{Direction::random, 0};
    constexpr std::string_view kSeeded = "random:";
    bool seeded = text.starts_with(kSeeded) && text.size() > kSeeded.size();
    if (seeded) {
        auto [end, error] = std::from_chars(text.data() + kSeeded.size(), text.data() + text.size(), order.seed);
        seeded = error == std::errc() && end == text.data() + text.size();
    }
    expect(seeded, "simt", "MOEGRAD_SIMT_ORDER is no order of threads: got \"{}\", expected forward, backward, random or random:SEED",
           text);
    return order;
}

void set_order(Order order) {
    std::lock_guard lock(mutex);
    chosen() = order;
}
Order order() {
    std::lock_guard lock(mutex);
    return chosen();
}

// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
std::uint64_t Shuffler::next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void Shuffler::arrange(std::vector<unsigned>& indices) {
    if (direction_ == Direction::backward) std::reverse(indices.begin(), indices.end());
    if (direction_ != Direction::random) return;
    for (std::size_t i = indices.size(); i > 1; --i) std::swap(indices[i - 1], indices[next() % i]);
}

}  // namespace engine::simt
