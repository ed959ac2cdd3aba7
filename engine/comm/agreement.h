#pragma once
#include "engine/comm/communicator.h"

#include <functional>

namespace engine {

// Runs the action on every rank. Where it throws on some, it throws on all, so that nobody waits for a rank that has given up: a rank's own
// error is its own, the others' is that of the first of them, with its rank. Collective; the action is not.
void agreed(Exec& exec, const std::function<void()>& action);

}  // namespace engine
