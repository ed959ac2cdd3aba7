#pragma once
#include "apps/sweep_grid.h"

#include <string>

namespace apps {

// How long the runs that are left will take: seconds per step as finished runs had them, else as a few steps on random tokens take now.
std::string time_text(const SweepFile& sweep, const std::vector<SweepSide>& sides);

}  // namespace apps
