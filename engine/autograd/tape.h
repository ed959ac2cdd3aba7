#pragma once
#include "engine/autograd/node.h"

#include <functional>
#include <memory>
#include <span>
#include <unordered_set>
#include <utility>
#include <vector>

namespace engine {

// The operations of one forward pass, in order. `backward` is a reversed loop; a node goes, with all that it saved, once it has run.
class Tape {
  public:
    // A tape that does not record runs the forward pass only.
    explicit Tape(Exec& exec, bool recording = true, bool training = true) : exec_(exec), recording_(recording), training_(training) {}
    Tape(const Tape&) = delete;
    Tape& operator=(const Tape&) = delete;

    Exec& exec() const { return exec_; }
    // Dropout and its like are active; independent of recording.
    bool training() const { return training_; }
    // Whether gradients are wanted of any of them: then the op records a node. An op names all inputs that its node gives gradients to: the
    // first node that a parameter is named for is the last one to give it a share.
    bool records(std::initializer_list<Var> inputs);

    // Appends the node that `make` builds, if gradients are wanted: the result's needs_grad must say so.
    template <class N>
    void record(N node) {
        nodes_.push_back(std::make_unique<N>(std::move(node)));
    }
    std::size_t size() const { return nodes_.size(); }
    // Told after every node which parameters' gradients are complete, whether any share reached them or none. In an order that follows
    // from the tape's alone.
    using AfterNode = std::function<void(std::span<const Var> complete)>;
    // Runs all nodes backwards. The caller has put gradients on the results that count (Var::give_grad).
    void backward(const AfterNode& after_node = {});

  private:
    struct FirstUse {
        std::size_t node;
        Var parameter;
    };
    std::vector<Var> close_complete();

    Exec& exec_;
    bool recording_;
    bool training_;
    std::vector<std::unique_ptr<Node>> nodes_;
    std::vector<FirstUse> first_uses_;  // by node
    std::unordered_set<const void*> seen_;
};

}  // namespace engine
