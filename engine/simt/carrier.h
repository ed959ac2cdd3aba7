#pragma once
#include <boost/context/fiber.hpp>
#include <functional>
#include <memory>

namespace engine::simt {

// A mapping with a guard page below it.
class Stack {
  public:
    Stack();
    ~Stack();
    Stack(const Stack&) = delete;
    Stack& operator=(const Stack&) = delete;
    bool holds(const void* address) const { return address >= bottom() && address < static_cast<const char*>(bottom()) + size(); }
    void* bottom() const;
    std::size_t size() const;

  private:
    void* mapping_;
};

// A fiber on a stack of its own that carries lanes: one after another while they end without blocking. It never leaves its OS thread.
class Carrier {
  public:
    // `work` runs on the fiber each time that the carrier is resumed idle, and calls yield() to wait.
    explicit Carrier(std::function<void(Carrier&)> work);
    ~Carrier();
    Carrier(const Carrier&) = delete;
    Carrier& operator=(const Carrier&) = delete;

    // The address lies on the fiber's stack.
    bool holds(const void* address) const { return stack_.holds(address); }
    // From the scheduler: runs the fiber until it yields.
    void resume();
    // From the fiber: back to the scheduler.
    void yield();

  private:
    boost::context::fiber run(boost::context::fiber&& scheduler);

    std::function<void(Carrier&)> work_;
    Stack stack_;
    boost::context::fiber fiber_;
    boost::context::fiber scheduler_;
    bool quitting_ = false;
    // For AddressSanitizer: the scheduler's stack, and the fake stacks of both sides.
    const void* scheduler_bottom_ = nullptr;
    std::size_t scheduler_size_ = 0;
    void* fiber_fake_ = nullptr;
};

}  // namespace engine::simt
