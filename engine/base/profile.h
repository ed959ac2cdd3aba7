#pragma once
#include <chrono>
#include <map>
#include <string>

namespace engine {

// Wall time per operation and pass, kept only between Profile::start and stop. Host time: on cuda it says when work was enqueued.
class Profile {
  public:
    struct Entry {
        long calls = 0;
        double seconds = 0;
    };
    static void start();
    // Name → time, e.g. "layer_norm" and "layer_norm backward".
    static std::map<std::string, Entry> stop();

  private:
    friend class ProfileScope;
    static bool enabled_;
    static std::map<std::string, Entry> entries_;
};

// Times its own life under `name`. Scopes inside count for themselves, not for the outer one.
class ProfileScope {
  public:
    enum class Pass { forward, backward };
    explicit ProfileScope(const char* name, Pass pass = Pass::forward) {
        if (Profile::enabled_) begin(name, pass);
    }
    ~ProfileScope() {
        if (name_ != nullptr) end();
    }
    ProfileScope(const ProfileScope&) = delete;
    ProfileScope& operator=(const ProfileScope&) = delete;

  private:
    void begin(const char* name, Pass pass);
    void end();
    const char* name_ = nullptr;
    Pass pass_ = Pass::forward;
    ProfileScope* outer_ = nullptr;
    double inner_seconds_ = 0;
    std::chrono::steady_clock::time_point start_;
};

}  // namespace engine
