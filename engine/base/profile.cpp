#include "engine/base/profile.h"

namespace engine {

bool Profile::enabled_ = false;
std::map<std::string, Profile::Entry> Profile::entries_;

namespace {
thread_local ProfileScope* innermost = nullptr;
}

void Profile::start() {
    entries_.clear();
    enabled_ = true;
}

std::map<std::string, Profile::Entry> Profile::stop() {
    enabled_ = false;
    return std::move(entries_);
}

void ProfileScope::begin(const char* name, Pass pass) {
    name_ = name;
    pass_ = pass;
    outer_ = innermost;
    innermost = this;
    start_ = std::chrono::steady_clock::now();
}

void ProfileScope::end() {
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    innermost = outer_;
    if (outer_ != nullptr) outer_->inner_seconds_ += seconds;
    Profile::Entry& entry = Profile::entries_[pass_ == Pass::forward ? name_ : std::string(name_) + " backward"];
    entry.calls += 1;
    entry.seconds += seconds - inner_seconds_;
}

}  // namespace engine
