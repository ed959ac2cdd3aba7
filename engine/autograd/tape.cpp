#include "engine/autograd/tape.h"

#include "engine/base/profile.h"

namespace engine {

bool Tape::records(std::initializer_list<Var> inputs) {
    if (!recording_) return false;
    bool any = false;
    for (const Var& input : inputs) {
        if (!input.needs_grad()) continue;
        any = true;
        if (!input.is_parameter() || !seen_.insert(input.identity()).second) continue;
        input.expect_grad();
        first_uses_.push_back({nodes_.size(), input});
    }
    return any;
}

// Those whose first node has run.
std::vector<Var> Tape::close_complete() {
    std::vector<Var> complete;
    for (; !first_uses_.empty() && first_uses_.back().node >= nodes_.size(); first_uses_.pop_back()) {
        first_uses_.back().parameter.close_grad();
        complete.push_back(std::move(first_uses_.back().parameter));
    }
    return complete;
}

void Tape::backward(const AfterNode& after_node) {
    while (!nodes_.empty()) {
        Node& node = *nodes_.back();
        if (node.is_reached()) {
            ProfileScope profile(node.name(), ProfileScope::Pass::backward);
            node.backward(exec_);
        }
        nodes_.pop_back();
        std::vector<Var> complete = close_complete();
        if (after_node) after_node(complete);
    }
}

}  // namespace engine
