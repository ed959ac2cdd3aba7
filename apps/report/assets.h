#pragma once
// The files of the pages of `compare` and `inspect`, put into the program when it is built (embed.cmake).
#include <string_view>

namespace apps {

extern const std::string_view kPageHtml, kInspectHtml, kStyle, kScripts, kInspectScripts, kChart, kChartLicence;

}  // namespace apps
