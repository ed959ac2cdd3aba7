#pragma once
#include "engine/simt/order.h"

// The threads of simt go in this order until the end of the scope.
class SimtOrder {
  public:
    explicit SimtOrder(engine::simt::Order order) { engine::simt::set_order(order); }
    ~SimtOrder() { engine::simt::set_order(before_); }
    SimtOrder(const SimtOrder&) = delete;
    SimtOrder& operator=(const SimtOrder&) = delete;

  private:
    engine::simt::Order before_ = engine::simt::order();
};

// Runs the body with the threads of simt forward, backward and in two random orders.
template <class Body>
void for_each_simt_order(Body&& body) {
    using engine::simt::Direction;
    for (engine::simt::Order order : {engine::simt::Order{Direction::forward, 0}, engine::simt::Order{Direction::backward, 0},
                                      engine::simt::Order{Direction::random, 1}, engine::simt::Order{Direction::random, 2}}) {
        SimtOrder scope(order);
        body();
    }
}
