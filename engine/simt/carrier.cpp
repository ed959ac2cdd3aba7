#include "engine/simt/carrier.h"

#include <new>

#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace engine::simt {
namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr std::size_t kStackBytes = 256 << 10;  // its frames are several times larger
void start_switch(void** fake, const void* bottom, std::size_t size) { __sanitizer_start_switch_fiber(fake, bottom, size); }
void finish_switch(void* fake, const void** bottom, std::size_t* size) { __sanitizer_finish_switch_fiber(fake, bottom, size); }
#else
constexpr std::size_t kStackBytes = 64 << 10;
void start_switch(void**, const void*, std::size_t) {}
void finish_switch(void*, const void**, std::size_t*) {}
#endif
constexpr std::size_t kGuardBytes = 4096;

// Boost takes a stack and would free it; ours belongs to the Carrier.
struct KeepStack {
    boost::context::stack_context allocate() { return {}; }
    void deallocate(boost::context::stack_context&) {}
};

}  // namespace

Stack::Stack()
    : mapping_(mmap(nullptr, kStackBytes + kGuardBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1,
                    0)) {
    if (mapping_ == MAP_FAILED || mprotect(mapping_, kGuardBytes, PROT_NONE) != 0) throw std::bad_alloc();
}
Stack::~Stack() { munmap(mapping_, kStackBytes + kGuardBytes); }
void* Stack::bottom() const { return static_cast<char*>(mapping_) + kGuardBytes; }
std::size_t Stack::size() const { return kStackBytes; }

Carrier::Carrier(std::function<void(Carrier&)> work) : work_(std::move(work)) {
    boost::context::stack_context context;
    context.sp = static_cast<char*>(stack_.bottom()) + stack_.size();
    context.size = stack_.size();
    fiber_ = boost::context::fiber(std::allocator_arg, boost::context::preallocated(context.sp, context.size, context), KeepStack{},
                                   [this](boost::context::fiber&& scheduler) { return run(std::move(scheduler)); });
}

Carrier::~Carrier() {
    quitting_ = true;
    resume();
}

__attribute__((no_sanitize("address"))) void Carrier::resume() {
    void* fake = nullptr;
    start_switch(&fake, stack_.bottom(), stack_.size());
    fiber_ = std::move(fiber_).resume();
    finish_switch(fake, nullptr, nullptr);
}

__attribute__((no_sanitize("address"))) void Carrier::yield() {
    start_switch(&fiber_fake_, scheduler_bottom_, scheduler_size_);
    scheduler_ = std::move(scheduler_).resume();
    finish_switch(fiber_fake_, &scheduler_bottom_, &scheduler_size_);
}

boost::context::fiber Carrier::run(boost::context::fiber&& scheduler) {
    finish_switch(nullptr, &scheduler_bottom_, &scheduler_size_);
    scheduler_ = std::move(scheduler);
    while (!quitting_) {
        work_(*this);
        yield();
    }
    start_switch(nullptr, scheduler_bottom_, scheduler_size_);
    return std::move(scheduler_);
}

}  // namespace engine::simt
