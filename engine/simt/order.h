#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace engine::simt {

// In what order blocks start, and lanes start and go on. A right kernel gives the same result in each.
enum class Direction { forward, backward, random };
struct Order {
    Direction direction = Direction::forward;
    std::uint64_t seed = 0;
};

// "forward", "backward", "random" or "random:SEED".
Order parse_order(std::string_view text);
// For launches from now on, by any thread. At the start: MOEGRAD_SIMT_ORDER, else forward.
void set_order(Order order);
Order order();

// Puts 0 … count − 1 in the order of one launch.
class Shuffler {
  public:
    Shuffler(Order order, std::uint64_t launch) : direction_(order.direction), state_(order.seed * 0x9e3779b97f4a7c15u + launch) {}
    void arrange(std::vector<unsigned>& indices);

  private:
    std::uint64_t next();
    Direction direction_;
    std::uint64_t state_;
};

}  // namespace engine::simt
