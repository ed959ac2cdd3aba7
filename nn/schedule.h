#pragma once
#include <cstdint>
#include <string_view>

namespace nn {

// Learning rate by step (PROGRAMS, "Schedule").
struct Schedule {
    enum class Kind { cosine, linear, constant, wsd };
    Kind kind = Kind::cosine;
    double peak = 0;
    std::int64_t warmup = 0;
    std::int64_t horizon = 0;  // steps after warm-up over which the rate falls

    // t counts from 0. peak·(t+1)/w for t < w = warmup; then by kind over u = (t − w)/horizon: cosine ½·(1+cos πu), linear 1 − u, constant
    // 1, wsd 1 until u = 0.8 and then linearly to 0; 0 from u = 1 on (constant: never).
    double at(std::int64_t t) const;
};

Schedule::Kind parse_schedule(std::string_view name);

}  // namespace nn
