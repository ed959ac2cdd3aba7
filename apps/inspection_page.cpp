#include "apps/inspection.h"
#include "apps/report/assets.h"
#include "apps/report_page.h"

namespace apps {

std::string inspection_page(const Inspection& inspection) {
    nlohmann::ordered_json run = inspection_json(inspection);
    // Where the scripts that this page shares with `compare` look for them.
    run["layers"] = run["routing"]["layers"];
    run["routing"].erase("layers");
    nlohmann::ordered_json document{{"version", MOEGRAD_VERSION}, {"runs", {run}}};
    return document_page(kInspectHtml, inspection.name, kInspectScripts, document);
}

}  // namespace apps
