#pragma once
#include "engine/simt/order.h"

// Runs the body with the threads of simt forward, backward and in two random orders; then restores the order.
template <class Body>
void for_each_simt_order(Body&& body) {
    using engine::simt::Direction;
    engine::simt::Order before = engine::simt::order();
    for (engine::simt::Order order : {engine::simt::Order{Direction::forward, 0}, engine::simt::Order{Direction::backward, 0},
                                      engine::simt::Order{Direction::random, 1}, engine::simt::Order{Direction::random, 2}}) {
        engine::simt::set_order(order);
        body();
    }
    engine::simt::set_order(before);
}
