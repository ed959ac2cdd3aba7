#pragma once
#include "apps/config.h"

#include <cstdint>
#include <filesystem>
#include <optional>

namespace apps {

namespace fs = std::filesystem;

// Where things stand in a run's folder (PROGRAMS, "A run's folder").
class RunFolder {
  public:
    explicit RunFolder(fs::path path) : path_(std::move(path)) {}

    const fs::path& path() const { return path_; }
    std::string name() const;
    fs::path config() const { return path_ / "config.toml"; }
    fs::path tokenizer() const { return path_ / "tokenizer.json"; }
    fs::path plan() const { return path_ / "plan.json"; }
    fs::path metrics() const { return path_ / "metrics.jsonl"; }
    fs::path routing() const { return path_ / "moe.jsonl"; }
    fs::path samples() const { return path_ / "samples"; }
    fs::path checkpoints() const { return path_ / "checkpoints"; }
    fs::path checkpoint(std::int64_t step) const { return checkpoints() / ("step-" + std::to_string(step)); }

    bool holds_run() const { return fs::exists(config()); }
    // The step of the checkpoint that `latest` names; none before the first. Throws where `latest` is not understood.
    std::optional<std::int64_t> latest() const;
    void set_latest(std::int64_t step) const;
    // Removes all but the newest `keep` checkpoints, never the latest one.
    void prune(std::int64_t keep) const;

  private:
    fs::path path_;
};

// One process trains in a folder at a time. Released with the process, however it ends.
class FolderLock {
  public:
    enum class Busy { fail, wait };
    explicit FolderLock(const fs::path& folder, Busy busy = Busy::fail);
    ~FolderLock();
    FolderLock(const FolderLock&) = delete;
    FolderLock& operator=(const FolderLock&) = delete;

  private:
    int descriptor_ = -1;
};

}  // namespace apps
