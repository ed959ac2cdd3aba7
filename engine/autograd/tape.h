#pragma once
#include "engine/autograd/node.h"

#include <memory>
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
    bool records(std::initializer_list<Var> inputs) const;

    // Appends the node that `make` builds, if gradients are wanted: the result's needs_grad must say so.
    template <class N>
    void record(N node) {
        nodes_.push_back(std::make_unique<N>(std::move(node)));
    }
    std::size_t size() const { return nodes_.size(); }
    // Runs all nodes backwards. The caller has put gradients on the results that count (Var::give_grad).
    void backward();

  private:
    Exec& exec_;
    bool recording_;
    bool training_;
    std::vector<std::unique_ptr<Node>> nodes_;
};

}  // namespace engine
