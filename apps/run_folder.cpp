#include "apps/run_folder.h"

#include "engine/base/error.h"
#include "engine/io/atomic_file.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace apps {

using engine::expect;
using engine::fail;

namespace {

constexpr std::string_view kStep = "step-";

std::optional<std::int64_t> step_of(std::string_view name) {
    while (name.ends_with('\n')) name.remove_suffix(1);
    if (!name.starts_with(kStep)) return {};
    name.remove_prefix(kStep.size());
    std::int64_t step = 0;
    auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step);
    return error == std::errc() && end == name.data() + name.size() && step >= 0 ? std::optional(step) : std::nullopt;
}

}  // namespace

std::string RunFolder::name() const {
    fs::path whole = fs::absolute(path_).lexically_normal();
    return whole.has_filename() ? whole.filename().string() : whole.parent_path().filename().string();
}

std::optional<std::int64_t> RunFolder::latest() const {
    fs::path file = path_ / "latest";
    if (!fs::exists(file)) return {};
    std::string text = engine::io::read_file(file);
    std::optional<std::int64_t> step = step_of(text);
    expect(step.has_value(), "run", "{} is not understood: got {}, expected a line like step-100", file.string(),
           nn::option_text(text.substr(0, 60)));
    expect(fs::is_directory(checkpoint(*step)), "run", "{} names a checkpoint that is not there: {}", file.string(),
           checkpoint(*step).string());
    return step;
}

void RunFolder::set_latest(std::int64_t step) const { engine::io::write_file(path_ / "latest", fmt::format("{}{}\n", kStep, step)); }

void RunFolder::prune(std::int64_t keep) const {
    std::vector<std::int64_t> steps;
    for (const auto& entry : fs::directory_iterator(checkpoints())) {
        if (auto step = step_of(entry.path().filename().string())) steps.push_back(*step);
    }
    std::sort(steps.begin(), steps.end(), std::greater<>());
    std::optional<std::int64_t> newest = latest();
    for (std::size_t i = static_cast<std::size_t>(keep); i < steps.size(); ++i) {
        if (newest != steps[i]) fs::remove_all(checkpoint(steps[i]));
    }
}

FolderLock::FolderLock(const fs::path& folder, Busy busy) {
    fs::path file = folder / ".lock";
    descriptor_ = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    expect(descriptor_ >= 0, "run", "cannot write into {}: {}", folder.string(), std::strerror(errno));
    if (flock(descriptor_, busy == Busy::wait ? LOCK_EX : LOCK_EX | LOCK_NB) != 0) {
        close(descriptor_);
        fail("run", "another process trains in {}; hint: stop it, or choose another --out", folder.string());
    }
}

FolderLock::~FolderLock() { close(descriptor_); }

}  // namespace apps
