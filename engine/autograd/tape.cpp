#include "engine/autograd/tape.h"

#include "engine/base/profile.h"

namespace engine {

bool Tape::records(std::initializer_list<Var> inputs) const {
    if (!recording_) return false;
    for (const Var& input : inputs) {
        if (input.needs_grad()) return true;
    }
    return false;
}

void Tape::backward() {
    while (!nodes_.empty()) {
        Node& node = *nodes_.back();
        if (node.is_reached()) {
            ProfileScope profile(node.name(), ProfileScope::Pass::backward);
            node.backward(exec_);
        }
        nodes_.pop_back();
    }
}

}  // namespace engine
