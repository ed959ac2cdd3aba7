#pragma once
// The only threading that CPU kernels use. Results never depend on the number of threads: a task's work is fixed by its index.
#include "engine/base/dtype.h"

#include <functional>
#include <memory>

namespace engine {

// Sets how many threads run tasks, the caller included. Call it outside any parallel_for.
void set_threads(int count);
int threads();

namespace detail {
void run_tasks(Size tasks, void (*call)(void* body, Size task), void* body);
}

// Runs body(0) … body(tasks − 1), each once, on any thread and in any order; returns when all are done. A call from inside a task runs
// its own tasks in order on the calling thread. The first exception thrown by a task is thrown again here.
template <class Body>
void parallel_for(Size tasks, Body&& body) {
    using B = std::remove_reference_t<Body>;
    detail::run_tasks(
        tasks, [](void* b, Size task) { (*static_cast<B*>(b))(task); }, const_cast<std::remove_const_t<B>*>(std::addressof(body)));
}

// parallel_for over blocks of `block` indices: body(first, last) for each.
template <class Body>
void parallel_blocks(Size count, Size block, Body&& body) {
    parallel_for((count + block - 1) / block,
                 [&](Size task) { body(task * block, task * block + block < count ? task * block + block : count); });
}

}  // namespace engine
