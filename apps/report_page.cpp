#include "apps/report_page.h"

#include "apps/report/assets.h"
#include "apps/report_document.h"
#include "engine/base/error.h"

#include <fmt/format.h>

namespace apps {

std::string filled_page(std::string_view page, const PageParts& parts) {
    std::string out;
    while (true) {
        std::size_t open = page.find("{{"), close = page.find("}}", open);
        out += page.substr(0, open);
        if (open == std::string_view::npos) return out;
        auto part = parts.find(page.substr(open + 2, close - open - 2));
        engine::expect(part != parts.end(), "compare", "the page has no part {}", page.substr(open, close - open + 2));
        out += part->second;
        page.remove_prefix(close + 2);
    }
}

std::string html_text(std::string_view text) {
    std::string out;
    for (char c : text) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&quot;";
                break;
            case '\'':
                out += "&#39;";
                break;
            default:
                out += c;
        }
    }
    return out;
}

std::string script_json(const nlohmann::ordered_json& document) {
    // Text from files may be no UTF-8 (a sample of bytes): what is none becomes U+FFFD.
    std::string json = document.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace), out;
    for (char c : json) {
        if (c == '<' || c == '>' || c == '&') {
            out += fmt::format("\\u{:04x}", static_cast<int>(c));
        } else {
            out += c;
        }
    }
    return out;
}

std::string document_page(std::string_view page, const std::string& title, std::string_view scripts, const nlohmann::ordered_json& document,
                          PageParts parts) {
    parts.insert({{"title", html_text(title)},
                  {"style", std::string(kStyle)},
                  {"chart_licence", std::string(kChartLicence)},
                  {"chart", std::string(kChart)},
                  {"scripts", std::string(scripts)},
                  {"document", script_json(document)}});
    return filled_page(page, parts);
}

std::string report_page(const std::vector<RunReport>& runs) {
    nlohmann::ordered_json document = report_document(runs);
    std::string title;
    for (const RunReport& run : runs) title += (title.empty() ? "" : " · ") + run.name;
    return document_page(kPageHtml, title, kScripts, document, {{"verdict", html_text(document["verdict"].get<std::string>())}});
}

}  // namespace apps
