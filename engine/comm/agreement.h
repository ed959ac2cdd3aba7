#pragma once
#include "engine/base/error.h"
#include "engine/comm/communicator.h"

#include <functional>
#include <string>
#include <vector>

namespace engine {

// Every rank's text, in rank order, by way of the host: a device may be what failed. Collective.
std::vector<std::string> texts_of_ranks(Communicator& communicator, const std::string& own);

// Another rank's error, which that rank itself tells.
class OthersError : public Error {
  public:
    using Error::Error;
};

// Runs the action on every rank. Where it throws on some, it throws on all, so that nobody waits for a rank that has given up: a rank's own
// error is its own, the others throw an OthersError of the first of them, with its rank. Collective; the action is not.
void agreed(Exec& exec, const std::function<void()>& action);

}  // namespace engine
