#pragma once

namespace apps {

// From now on SIGINT, SIGTERM and SIGUSR1 only ask: a training run finishes its step, saves and exits with 75. A second SIGINT ends at
// once.
void watch_signals();
bool stop_was_asked();

}  // namespace apps
