#pragma once
// The files of the report's page, put into the program when it is built (embed.cmake).
#include <string_view>

namespace apps {

extern const std::string_view kPageHtml, kStyle, kScripts, kChart, kChartLicence;

}  // namespace apps
