// Our own names and values of NCCL beside those of its header, where there is one.
#if __has_include(<nccl.h>) && __has_include(<cuda_runtime.h>)
#include "engine/comm/nccl_library.h"

#include <type_traits>
#include <utility>

#include <nccl.h>

namespace {

namespace own = engine::nccl;

static_assert(own::kSuccess == ncclSuccess && own::kInProgress == ncclInProgress && own::kSum == ncclSum);
static_assert(own::kBytes == ncclUint8 && own::kInt32 == ncclInt32 && own::kInt64 == ncclInt64);
static_assert(own::kFloat32 == ncclFloat32 && own::kFloat64 == ncclFloat64 && own::kBfloat16 == ncclBfloat16);
static_assert(sizeof(own::UniqueId) == sizeof(ncclUniqueId) && sizeof(ncclResult_t) == sizeof(int));
static_assert(offsetof(own::Config, magic) == offsetof(ncclConfig_t, magic) &&
              offsetof(own::Config, version) == offsetof(ncclConfig_t, version));
static_assert(offsetof(own::Config, blocking) == offsetof(ncclConfig_t, blocking));
static_assert(offsetof(own::Config, most_blocks) == offsetof(ncclConfig_t, maxCTAs));
static_assert(offsetof(own::Config, net_name) == offsetof(ncclConfig_t, netName));
static_assert(offsetof(own::Config, split_share) == offsetof(ncclConfig_t, splitShare));
#if NCCL_VERSION_CODE >= 22700
static_assert(offsetof(own::Config, traffic_class) == offsetof(ncclConfig_t, trafficClass));
static_assert(sizeof(own::Config) == offsetof(ncclConfig_t, commName));
#endif

// Parameters that are passed alike: NCCL's enumerations are numbers to us, and its handles pointers.
template <class A, class B>
constexpr bool kAlike = sizeof(A) == sizeof(B) && std::is_pointer_v<A> == std::is_pointer_v<B>&& std::is_class_v<A> == std::is_class_v<B>;
template <class>
constexpr bool kSame = false;
template <class A, class B, class... P, class... Q>
constexpr bool kSame<std::pair<A (*)(P...), B (*)(Q...)>> = sizeof...(P) == sizeof...(Q) && (kAlike<P, Q> && ...);
#define CHECK_SAME(ours, theirs) static_assert(kSame<std::pair<decltype(own::Library::ours), decltype(&theirs)>>)
CHECK_SAME(get_version, ncclGetVersion);
CHECK_SAME(get_unique_id, ncclGetUniqueId);
CHECK_SAME(init, ncclCommInitRankConfig);
CHECK_SAME(finalize, ncclCommFinalize);
CHECK_SAME(destroy, ncclCommDestroy);
CHECK_SAME(abort, ncclCommAbort);
CHECK_SAME(get_async_error, ncclCommGetAsyncError);
CHECK_SAME(get_error_string, ncclGetErrorString);
CHECK_SAME(get_last_error, ncclGetLastError);
CHECK_SAME(group_start, ncclGroupStart);
CHECK_SAME(group_end, ncclGroupEnd);
CHECK_SAME(send, ncclSend);
CHECK_SAME(receive, ncclRecv);
CHECK_SAME(all_gather, ncclAllGather);
CHECK_SAME(all_reduce, ncclAllReduce);

}  // namespace
#endif
