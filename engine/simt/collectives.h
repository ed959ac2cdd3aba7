#pragma once
// Barriers, shuffles and votes. Each leaves a Meeting on the caller's stack; the last to come serves all (engine/simt/worker.cpp).
#include "engine/simt/runtime.h"

#include <cstring>
#include <type_traits>

namespace engine::simt {

inline int lane_of_warp() { return static_cast<int>(current->linear % 32); }

// What the lane `source` of the warp brought.
template <class T>
T shuffle(const char* name, unsigned mask, T value, int source, Site site) {
    static_assert(std::is_trivially_copyable_v<T> && (sizeof(T) == 4 || sizeof(T) == 8), "CUDA shuffles 4 or 8 bytes");
    Meeting meeting{.name = name, .site = site, .mask = mask, .source = source};
    memcpy(&meeting.value, &value, sizeof value);
    meet(meeting);
    memcpy(&value, &meeting.result, sizeof value);
    return value;
}

inline unsigned vote(const char* name, unsigned mask, int predicate, Site site) {
    Meeting meeting{.name = name, .site = site, .mask = mask, .value = predicate != 0};
    meet(meeting);
    return meeting.ballot;
}

// `lane` if it lies in the caller's segment of `width` lanes, else the caller's own lane.
inline int inside_segment(int lane, int width) { return lane / width == lane_of_warp() / width && lane >= 0 ? lane : lane_of_warp(); }

}  // namespace engine::simt

inline void __syncthreads(engine::simt::Site site = engine::simt::Site::here()) {
    engine::simt::Meeting meeting{.name = "__syncthreads", .site = site, .whole_block = true};
    engine::simt::meet(meeting);
}
inline void __syncwarp(unsigned mask = 0xffffffffu, engine::simt::Site site = engine::simt::Site::here()) {
    engine::simt::Meeting meeting{.name = "__syncwarp", .site = site, .mask = mask};
    engine::simt::meet(meeting);
}

template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32, engine::simt::Site site = engine::simt::Site::here()) {
    int first = engine::simt::lane_of_warp() / width * width;
    return engine::simt::shuffle("__shfl_sync", mask, value,
                                 first + static_cast<int>(static_cast<unsigned>(lane) % static_cast<unsigned>(width)), site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, engine::simt::Site site = engine::simt::Site::here()) {
    // A lane may take from a lower segment, not from a higher one.
    int lane = engine::simt::lane_of_warp(), source = lane ^ bits;
    return engine::simt::shuffle("__shfl_xor_sync", mask, value, source / width <= lane / width ? source : lane, site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, engine::simt::Site site = engine::simt::Site::here()) {
    int source = engine::simt::inside_segment(engine::simt::lane_of_warp() + static_cast<int>(delta), width);
    return engine::simt::shuffle("__shfl_down_sync", mask, value, source, site);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, engine::simt::Site site = engine::simt::Site::here()) {
    int source = engine::simt::inside_segment(engine::simt::lane_of_warp() - static_cast<int>(delta), width);
    return engine::simt::shuffle("__shfl_up_sync", mask, value, source, site);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, engine::simt::Site site = engine::simt::Site::here()) {
    return engine::simt::vote("__ballot_sync", mask, predicate, site);
}
inline int __any_sync(unsigned mask, int predicate, engine::simt::Site site = engine::simt::Site::here()) {
    return engine::simt::vote("__any_sync", mask, predicate, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate, engine::simt::Site site = engine::simt::Site::here()) {
    return engine::simt::vote("__all_sync", mask, predicate, site) == mask;
}
