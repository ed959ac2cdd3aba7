// NCCL without a GPU: what engine/comm/nccl_library.h opens, over host memory. Messages are files in the folder whose name is the id. As
// NCCL's, calls return at once, and are done when ncclCommGetAsyncError says so; a call before that is refused.
//   FAKE_NCCL_VERSION=N        instead of 22809
//   FAKE_NCCL_LOG=FILE         every rank's calls, appended to FILE-RANK
//   FAKE_NCCL_FAIL=RANK:N:CODE that rank's Nth group ends with this result
#include "engine/base/dtype.h"
#include "engine/comm/nccl_library.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

using engine::nccl::Config;
using engine::nccl::UniqueId;

namespace {

namespace fs = std::filesystem;
namespace nccl = engine::nccl;

constexpr int kInvalidUsage = 5;

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr ? value : "";
}

std::size_t size_of(int type) {
    if (type == nccl::kBytes) return 1;
    if (type == nccl::kBfloat16) return 2;
    return type == nccl::kFloat64 || type == nccl::kInt64 ? 8 : 4;
}

template <class T>
void add(void* to, const void* from, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) static_cast<T*>(to)[i] += static_cast<const T*>(from)[i];
}

void add_by_type(void* to, const void* from, std::size_t count, int type) {
    if (type == nccl::kFloat32) add<float>(to, from, count);
    if (type == nccl::kFloat64) add<double>(to, from, count);
    if (type == nccl::kInt32) add<std::int32_t>(to, from, count);
    if (type == nccl::kInt64) add<std::int64_t>(to, from, count);
    if (type != nccl::kBfloat16) return;
    auto *sum = static_cast<engine::bf16*>(to), *more = static_cast<engine::bf16*>(const_cast<void*>(from));
    for (std::size_t i = 0; i < count; ++i) sum[i] = engine::to_bf16(engine::to_float(sum[i]) + engine::to_float(more[i]));
}

}  // namespace

struct engine::nccl::OpaqueComm {
    int rank = 0, ranks = 0, groups = 0;
    fs::path folder;
    std::vector<int> sent, received;
    std::atomic<int> state{nccl::kInProgress};
    std::atomic<bool> aborted{false};
    std::thread worker;

    void log(const std::string& line) const {
        if (std::string file = variable("FAKE_NCCL_LOG"); !file.empty()) {
            std::ofstream(file + "-" + std::to_string(rank), std::ios::app) << line << "\n";
        }
    }
    bool wait_for(const fs::path& file) const {
        while (!fs::exists(file) && !aborted) usleep(200);
        return !aborted;
    }
    fs::path message(int from, int to, int number) const {
        return folder / (std::to_string(from) + "-" + std::to_string(to) + "-" + std::to_string(number));
    }
    void send(int to, const void* bytes, std::size_t count) {
        fs::path file = message(rank, to, sent[static_cast<std::size_t>(to)]++), unfinished = file.string() + "-unfinished";
        std::ofstream(unfinished, std::ios::binary).write(static_cast<const char*>(bytes), static_cast<std::streamsize>(count));
        fs::rename(unfinished, file);
    }
    int receive(int from, void* bytes, std::size_t count) {
        fs::path file = message(from, rank, received[static_cast<std::size_t>(from)]++);
        if (!wait_for(file)) return kInvalidUsage;
        if (fs::file_size(file) != count) return kInvalidUsage;
        std::ifstream(file, std::ios::binary).read(static_cast<char*>(bytes), static_cast<std::streamsize>(count));
        fs::remove(file);
        return nccl::kSuccess;
    }
    void run(const std::function<int()>& work) {
        if (worker.joinable()) worker.join();
        state = nccl::kInProgress;
        worker = std::thread([this, work] {
            usleep(500);
            state = work();
        });
    }
    int forced_result() {
        int of_rank = -1, group = -1, code = 0;
        if (std::sscanf(variable("FAKE_NCCL_FAIL").c_str(), "%d:%d:%d", &of_rank, &group, &code) != 3) return nccl::kSuccess;
        return of_rank == rank && group == groups ? code : nccl::kSuccess;
    }
    void end(const std::string& how) {
        log(how);
        aborted = true;
        if (worker.joinable()) worker.join();
    }
};

namespace {

using Comm = nccl::Comm;

// What a thread has called since ncclGroupStart: sends do not wait for receives.
struct Group {
    int depth = 0;
    Comm comm = nullptr;
    std::vector<std::function<int()>> sends, receives;
};
thread_local Group group;

int run_group() {
    Group calls = std::exchange(group, {});
    Comm comm = calls.comm;
    if (comm == nullptr) return nccl::kSuccess;
    if (comm->state != nccl::kSuccess) {
        comm->log("called while busy");
        return kInvalidUsage;
    }
    comm->log("end");
    int forced = comm->forced_result();
    comm->groups += 1;
    comm->run([calls, forced] {
        if (forced != nccl::kSuccess) return forced;
        for (const auto* list : {&calls.sends, &calls.receives}) {
            for (const auto& call : *list) {
                if (int result = call(); result != nccl::kSuccess) return result;
            }
        }
        return nccl::kSuccess;
    });
    return nccl::kInProgress;
}

int add_to_group(Comm comm, const std::string& line, std::function<int()> send, std::function<int()> receive) {
    comm->log(line);
    group.comm = comm;
    if (send) group.sends.push_back(std::move(send));
    if (receive) group.receives.push_back(std::move(receive));
    return group.depth > 0 ? nccl::kSuccess : run_group();
}

std::function<int()> to_all(Comm comm, const void* from, std::size_t count) {
    return [=] {
        for (int r = 0; r < comm->ranks; ++r) {
            if (r != comm->rank) comm->send(r, from, count);
        }
        return nccl::kSuccess;
    };
}

std::string numbers(const std::string& name, std::size_t count, int rank_or_type) {
    return name + " " + std::to_string(count) + " " + std::to_string(rank_or_type);
}

}  // namespace

extern "C" {

int ncclGetVersion(int* version) {
    std::string other = variable("FAKE_NCCL_VERSION");
    *version = other.empty() ? 22809 : std::stoi(other);
    return nccl::kSuccess;
}

int ncclGetUniqueId(UniqueId* id) {
    std::string pattern = (fs::temp_directory_path() / "fake-nccl-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr || pattern.size() >= sizeof id->bytes) return kInvalidUsage;
    std::strcpy(id->bytes, pattern.c_str());
    return nccl::kSuccess;
}

int ncclCommInitRankConfig(Comm* made, int ranks, UniqueId id, int rank, Config* config) {
    if (config->magic != 0xcafebeef || config->blocking != 0) return kInvalidUsage;
    auto* comm = new nccl::OpaqueComm;
    comm->rank = rank;
    comm->ranks = ranks;
    comm->folder = id.bytes;
    comm->sent = comm->received = std::vector<int>(static_cast<std::size_t>(ranks));
    comm->log(numbers("init", static_cast<std::size_t>(ranks), rank));
    *made = comm;
    comm->run([comm] {
        std::ofstream(comm->folder / ("here-" + std::to_string(comm->rank)));
        for (int r = 0; r < comm->ranks; ++r) {
            if (!comm->wait_for(comm->folder / ("here-" + std::to_string(r)))) return kInvalidUsage;
        }
        return nccl::kSuccess;
    });
    return nccl::kInProgress;
}

int ncclCommFinalize(Comm comm) {
    if (comm->state != nccl::kSuccess) return kInvalidUsage;
    comm->log("finalize");
    return nccl::kSuccess;
}

int ncclCommDestroy(Comm comm) {
    comm->end("destroy");
    delete comm;
    return nccl::kSuccess;
}

int ncclCommAbort(Comm comm) {
    comm->end("abort");
    delete comm;
    return nccl::kSuccess;
}

int ncclCommGetAsyncError(Comm comm, int* state) {
    *state = comm->state;
    return nccl::kSuccess;
}

const char* ncclGetErrorString(int result) { return result == kInvalidUsage ? "fake invalid usage" : "fake failure"; }
const char* ncclGetLastError(Comm) { return ""; }

int ncclGroupStart() {
    group.depth += 1;
    return nccl::kSuccess;
}
int ncclGroupEnd() { return --group.depth > 0 ? nccl::kSuccess : run_group(); }

int ncclSend(const void* from, std::size_t count, int type, int rank, Comm comm, void*) {
    return add_to_group(comm, numbers("send", count, rank), [=] { return comm->send(rank, from, count * size_of(type)), nccl::kSuccess; },
                        {});
}

int ncclRecv(void* to, std::size_t count, int type, int rank, Comm comm, void*) {
    return add_to_group(comm, numbers("receive", count, rank), {}, [=] { return comm->receive(rank, to, count * size_of(type)); });
}

int ncclAllGather(const void* from, void* to, std::size_t count, int type, Comm comm, void*) {
    std::size_t bytes = count * size_of(type);
    return add_to_group(comm, numbers("all_gather", count, type), to_all(comm, from, bytes), [=] {
        for (int r = 0; r < comm->ranks; ++r) {
            char* part = static_cast<char*>(to) + static_cast<std::size_t>(r) * bytes;
            if (r == comm->rank) {
                std::memmove(part, from, bytes);
            } else if (int result = comm->receive(r, part, bytes); result != nccl::kSuccess) {
                return result;
            }
        }
        return nccl::kSuccess;
    });
}

int ncclAllReduce(const void* from, void* to, std::size_t count, int type, int, Comm comm, void*) {
    std::size_t bytes = count * size_of(type);
    return add_to_group(comm, numbers("all_reduce", count, type), to_all(comm, from, bytes), [=] {
        std::vector<char> sum(bytes), part(bytes);
        for (int r = 0; r < comm->ranks; ++r) {
            if (r == comm->rank) std::memcpy(part.data(), from, bytes);
            int result = r == comm->rank ? nccl::kSuccess : comm->receive(r, part.data(), bytes);
            if (result != nccl::kSuccess) return result;
            r == 0 ? void(sum = part) : add_by_type(sum.data(), part.data(), count, type);
        }
        std::memcpy(to, sum.data(), bytes);
        return nccl::kSuccess;
    });
}

}  // extern "C"
