#pragma once
#include "engine/comm/communicator.h"

#include <functional>
#include <string>
#include <vector>

namespace engine {

// Every rank's text, in rank order, by way of the host: a device may be what failed. Collective.
std::vector<std::string> texts_of_ranks(Communicator& communicator, const std::string& own);

// Runs the action on every rank. Where it throws on some, it throws on all, so that nobody waits for a rank that has given up: a rank's own
// error is its own, the others' is that of the first of them, with its rank. Collective; the action is not.
void agreed(Exec& exec, const std::function<void()>& action);

}  // namespace engine
