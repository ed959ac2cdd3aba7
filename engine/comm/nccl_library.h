#pragma once
// NCCL, opened at run time: a program that was built here also starts where it is absent. Names and values are NCCL's, so that no header of
// it is needed; tests/engine/comm/nccl_header_test.cpp compares them with the header where there is one.
#include <climits>
#include <cstddef>
#include <string>

namespace engine::nccl {

// Results.
inline constexpr int kSuccess = 0, kInProgress = 7;
// Element types, and the operation of a sum.
inline constexpr int kBytes = 1, kInt32 = 2, kInt64 = 4, kFloat32 = 7, kFloat64 = 8, kBfloat16 = 9, kSum = 0;

// Whoever knows it can join the ranks: a secret, never printed.
struct UniqueId {
    char bytes[128];
};

// The first members of ncclConfig_t, which newer libraries take as it is: `version` says which there are.
struct Config {
    std::size_t size = sizeof(Config);
    unsigned magic = 0xcafebeef, version = 22000;
    int blocking = INT_MIN, cluster_size = INT_MIN, least_blocks = INT_MIN, most_blocks = INT_MIN;
    const char* net_name = nullptr;
    int split_share = INT_MIN;
    int traffic_class = INT_MIN;  // of later versions: stands where earlier ones have padding
};

using Comm = struct OpaqueComm*;

struct Library {
    std::string name;
    int version = 0;  // 22809 is 2.28.9
    int (*get_version)(int* version) = nullptr;
    int (*get_unique_id)(UniqueId* id) = nullptr;
    int (*init)(Comm* comm, int ranks, UniqueId id, int rank, Config* config) = nullptr;
    int (*finalize)(Comm comm) = nullptr;
    int (*destroy)(Comm comm) = nullptr;
    int (*abort)(Comm comm) = nullptr;
    int (*get_async_error)(Comm comm, int* state) = nullptr;
    const char* (*get_error_string)(int result) = nullptr;
    const char* (*get_last_error)(Comm comm) = nullptr;
    int (*group_start)() = nullptr;
    int (*group_end)() = nullptr;
    int (*send)(const void* from, std::size_t count, int type, int rank, Comm comm, void* stream) = nullptr;
    int (*receive)(void* to, std::size_t count, int type, int rank, Comm comm, void* stream) = nullptr;
    int (*all_gather)(const void* from, void* to, std::size_t count_of_a_rank, int type, Comm comm, void* stream) = nullptr;
    int (*all_reduce)(const void* from, void* to, std::size_t count, int type, int operation, Comm comm, void* stream) = nullptr;

    // What a result other than kSuccess means, in NCCL's words; `comm` may be null.
    std::string told(int result, Comm comm) const;
};

// "2.28.9"
std::string version_text(int version);

// Throws where the library, one of its functions or version 2.20 is missing; says what, and what would help.
Library open_library(const std::string& name);
// The one that MOEGRAD_NCCL_LIBRARY names, or libnccl.so.2; opened at the first call.
const Library& library();

}  // namespace engine::nccl
