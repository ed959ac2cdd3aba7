#pragma once
// What the page draws, as one JSON document; its shape is told at the top of report/main.js.
#include "apps/report_run.h"

#include <nlohmann/json.hpp>
#include <vector>

namespace apps {

nlohmann::ordered_json report_document(const std::vector<RunReport>& runs);

}  // namespace apps
