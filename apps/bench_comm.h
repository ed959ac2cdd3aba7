#pragma once
#include <functional>

namespace CLI {
class App;
}

namespace apps {

// `bench comm`, as command.h's.
std::function<int()> add_bench_comm(CLI::App& app);

}  // namespace apps
