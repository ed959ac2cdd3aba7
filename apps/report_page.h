#pragma once
// The self-contained HTML page: apps/report/page.html with its style, its scripts, Chart.js and the document put in.
#include "apps/report_run.h"

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace apps {

// Text as it may stand in HTML, inside elements and quoted attributes.
std::string html_text(std::string_view text);

// JSON as it may stand inside <script>: nothing in it can end the element or open a comment.
std::string script_json(const nlohmann::ordered_json& document);

// Replaces every {{name}} of a page, once: what is put in is never looked at again.
std::string filled_page(std::string_view page, const std::map<std::string, std::string, std::less<>>& parts);

std::string report_page(const std::vector<RunReport>& runs);

}  // namespace apps
