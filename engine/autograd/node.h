#pragma once
#include "engine/autograd/var.h"

namespace engine {

// One recorded operation. A node names what it saved; its `backward` reads the gradient of its results and adds shares to its inputs'.
struct Node {
    virtual ~Node() = default;
    virtual const char* name() const = 0;
    // No gradient reached the results: nothing to do.
    virtual bool is_reached() const = 0;
    virtual void backward(Exec& exec) = 0;
};

}  // namespace engine
