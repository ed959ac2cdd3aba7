#include "apps/signals.h"

#include <csignal>

namespace apps {
namespace {

volatile std::sig_atomic_t asked = 0;

void on_signal(int number) {
    if (asked != 0 && number == SIGINT) std::signal(SIGINT, SIG_DFL);
    asked = 1;
}

}  // namespace

void watch_signals() {
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    sigaction(SIGUSR1, &action, nullptr);
}

bool stop_was_asked() { return asked != 0; }

}  // namespace apps
