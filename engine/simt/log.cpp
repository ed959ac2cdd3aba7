#include "engine/simt/log.h"

#include <cstdlib>
#include <fstream>
#include <mutex>

namespace engine::simt {
namespace {

class Log {
  public:
    ~Log() {
        const char* path = std::getenv("MOEGRAD_SIMT_LOG");
        if (path == nullptr || *path == '\0') return;
        std::string lines;
        for (const std::string& name : names_) lines += name + "\n";
        // One write, so that processes that end together do not mix their lines.
        std::ofstream(path, std::ios::app).write(lines.data(), static_cast<std::streamsize>(lines.size())).flush();
    }
    void add(const char* kernel) {
        std::lock_guard lock(mutex_);
        names_.insert(kernel);
    }
    std::set<std::string> names() {
        std::lock_guard lock(mutex_);
        return names_;
    }

  private:
    std::mutex mutex_;
    std::set<std::string> names_;
};

Log& log() {
    static Log instance;
    return instance;
}

}  // namespace

std::set<std::string> launched_kernels() { return log().names(); }
void note_launch(const char* kernel) { log().add(kernel); }

}  // namespace engine::simt
