#include "nn/schedule.h"

#include "engine/base/error.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace nn {

double Schedule::at(std::int64_t t) const {
    if (t < warmup) return peak * static_cast<double>(t + 1) / static_cast<double>(warmup);
    if (kind == Kind::constant) return peak;
    if (t - warmup >= horizon) return 0;
    double u = static_cast<double>(t - warmup) / static_cast<double>(horizon);
    switch (kind) {
        case Kind::cosine:
            return peak * 0.5 * (1 + std::cos(std::numbers::pi * u));
        case Kind::linear:
            return peak * (1 - u);
        case Kind::wsd:
            return peak * std::min(1.0, (1 - u) / 0.2);
        case Kind::constant:
            break;
    }
    return peak;
}

Schedule::Kind parse_schedule(std::string_view name) {
    if (name == "cosine") return Schedule::Kind::cosine;
    if (name == "linear") return Schedule::Kind::linear;
    if (name == "constant") return Schedule::Kind::constant;
    engine::expect(name == "wsd", "train",
                   "no such schedule: got \"{}\", expected cosine, linear, constant or wsd; hint: set train.schedule", name);
    return Schedule::Kind::wsd;
}

}  // namespace nn
