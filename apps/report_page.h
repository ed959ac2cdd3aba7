#pragma once
// Self-contained HTML pages: apps/report/*.html with the style, scripts, Chart.js and a document put in.
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

using PageParts = std::map<std::string, std::string, std::less<>>;  // by the name that stands in {{}}
// Replaces every {{name}} of a page, once: what is put in is never looked at again.
std::string filled_page(std::string_view page, const PageParts& parts);
// A page of ours that shows a document; `parts` has what this page alone holds.
std::string document_page(std::string_view page, const std::string& title, std::string_view scripts, const nlohmann::ordered_json& document,
                          PageParts parts = {});

std::string report_page(const std::vector<RunReport>& runs);

}  // namespace apps
