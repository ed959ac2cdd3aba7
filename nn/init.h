#pragma once
#include "nn/parameter.h"

namespace nn {

// The seed of one parameter: the run's seed mixed with its full name.
std::uint64_t seed_for(std::uint64_t seed, const std::string& name);

// Every value the same.
Initial constant(double value);
// Normal with the given standard deviation.
Initial normal(double deviation);
// Normal cut at ±2σ, then scaled so that the sample's own standard deviation is exact (sigma-moe.md 2.1: attention and dense weights).
Initial truncated_normal(double deviation);
// Uniform in [−bound, bound).
Initial uniform(double bound);
// Normal with the given deviation for a router (C,E), then every expert's column brought to the same norm and the whole matrix back to the
// sample's deviation (sigma-moe.md 2.1, "row equalisation of W3").
Initial equal_norm_columns(double deviation);
// A (C,E) matrix whose columns have the norm `norm` and stand at right angles, as far as there are C of them; further columns begin a new
// such set (Saxe 2013).
Initial orthogonal_columns(double norm);

}  // namespace nn
