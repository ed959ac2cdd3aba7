#include "engine/comm/nccl_library.h"

#include "engine/base/error.h"

#include <cstdlib>

#include <dlfcn.h>

namespace engine::nccl {
namespace {

// Grouped sends and receives, ranks that do not block and whose collectives can be aborted: all there, and sound, since then.
constexpr int kLeast = 22000;

template <class Function>
void find(void* opened, const std::string& name, const char* symbol, Function& function) {
    function = reinterpret_cast<Function>(dlsym(opened, symbol));
    expect(function != nullptr, "nccl", "{} has no {}; hint: it takes NCCL {} or later, which MOEGRAD_NCCL_LIBRARY may name", name, symbol,
           version_text(kLeast));
}

}  // namespace

// Up to 2.8 a version had a digit less.
std::string version_text(int version) {
    int major = version < 10000 ? 1000 : 10000;
    return fmt::format("{}.{}.{}", version / major, version % major / 100, version % 100);
}

std::string Library::told(int result, Comm comm) const {
    std::string text = get_error_string(result);
    const char* more = get_last_error(comm);
    return more != nullptr && *more != 0 ? fmt::format("{} ({})", text, more) : text;
}

Library open_library(const std::string& name) {
    void* opened = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (opened == nullptr) {
        const char* reason = dlerror();
        fail("nccl",
             "GPU ranks speak NCCL, which cannot be opened: {}; hint: install NCCL {} or later (libnccl2), or name the file in "
             "MOEGRAD_NCCL_LIBRARY",
             reason != nullptr ? reason : name, version_text(kLeast));
    }
    Library found{.name = name};
    find(opened, name, "ncclGetVersion", found.get_version);
    found.get_version(&found.version);
    expect(found.version >= kLeast, "nccl",
           "{} is too old: got version {}, expected {} or later; hint: MOEGRAD_NCCL_LIBRARY may name another file", name,
           version_text(found.version), version_text(kLeast));
    find(opened, name, "ncclGetUniqueId", found.get_unique_id);
    find(opened, name, "ncclCommInitRankConfig", found.init);
    find(opened, name, "ncclCommFinalize", found.finalize);
    find(opened, name, "ncclCommDestroy", found.destroy);
    find(opened, name, "ncclCommAbort", found.abort);
    find(opened, name, "ncclCommGetAsyncError", found.get_async_error);
    find(opened, name, "ncclGetErrorString", found.get_error_string);
    find(opened, name, "ncclGetLastError", found.get_last_error);
    find(opened, name, "ncclGroupStart", found.group_start);
    find(opened, name, "ncclGroupEnd", found.group_end);
    find(opened, name, "ncclSend", found.send);
    find(opened, name, "ncclRecv", found.receive);
    find(opened, name, "ncclAllGather", found.all_gather);
    find(opened, name, "ncclAllReduce", found.all_reduce);
    return found;
}

const Library& library() {
    static const Library opened = [] {
        const char* named = std::getenv("MOEGRAD_NCCL_LIBRARY");
        return open_library(named != nullptr ? named : "libnccl.so.2");
    }();
    return opened;
}

}  // namespace engine::nccl
