#include "apps/report_page.h"

#include "apps/report_document.h"
#include "tests/support/run_folder.h"
#include "tests/support/temporary_folder.h"

#include <fstream>

#include <doctest/doctest.h>

namespace {

std::size_t count(const std::string& text, const std::string& part) {
    std::size_t found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) found += 1;
    return found;
}

nlohmann::json document_in(const std::string& page) {
    const std::string open = "<script type=\"application/json\" id=\"document\">";
    std::size_t begin = page.find(open) + open.size();
    return nlohmann::json::parse(page.substr(begin, page.find("</script>", begin) - begin));
}

}  // namespace

TEST_CASE("the page holds its style, its scripts, Chart.js and its licence, and names no address it could fetch from") {
    tests::TemporaryFolder folder;
    std::string page = apps::report_page({tests::read_back({.records = 5, .layers = 1}, folder / "run")});
    CHECK(page.starts_with("<!DOCTYPE html>"));
    for (const char* part : {"{{title}}", "{{verdict}}", "{{style}}", "{{chart}}", "{{scripts}}", "{{document}}"})
        CHECK(count(page, part) == 0);
    CHECK(page.find("Chart.js v3.9") != std::string::npos);
    CHECK(page.find("Permission is hereby granted, free of charge") != std::string::npos);
    CHECK(page.find("default-src 'none'") != std::string::npos);
    for (const char* fetch : {"<script src", "<link rel=\"stylesheet\"", "@import", "url(", "fetch(", "XMLHttpRequest", "import("}) {
        INFO(fetch);
        CHECK(count(page, fetch) == 0);
    }
    CHECK(page.ends_with("</html>\n"));
}

TEST_CASE("nothing that comes from files can end a script or start an element") {
    tests::TemporaryFolder folder;
    const std::string attack = "</script><script>owned()</script><!--<img src=x onerror=owned()>&lt;{{chart}}\xe2\x80\xa8";
    tests::RunFolder run{.records = 3, .layers = 1, .notes = {attack}, .samples = {attack + "\xff\xfe"}};
    std::string clean = apps::report_page({tests::read_back(run, folder / "clean")});
    std::filesystem::path evil = folder / "<script>owned()<";
    std::filesystem::create_directories(evil / "script>");
    run.write(evil / "script>");
    std::ofstream(evil / "script>" / "config.toml", std::ios::app) << "note = '''" << attack << "'''\n";
    apps::RunReport report = apps::read_run(evil / "script>");
    report.name = attack;
    std::string page = apps::report_page({report});
    CHECK(count(page, "<script") == count(clean, "<script"));
    CHECK(count(page, "</script") == 3);
    CHECK(count(page, "<img") == 0);
    CHECK(count(page, "Chart.js v3.9.1") == 1);
    nlohmann::json document = document_in(page);
    CHECK(document["runs"][0]["name"] == attack);
    CHECK(document["runs"][0]["notes"][0] == attack);
    CHECK(document["runs"][0]["samples"][0]["text"] == attack + "\xef\xbf\xbd\xef\xbf\xbd");
}

TEST_CASE("a report of two runs of ten thousand records is below one megabyte and the same every time") {
    tests::TemporaryFolder folder;
    tests::RunFolder run{.records = 10000, .eval_every = 500, .layers = 6, .experts = 16};
    apps::RunReport moe = tests::read_back(run, folder / "moe");
    apps::RunReport twin = moe;
    std::string page = apps::report_page({moe, twin});
    CHECK(page.size() < 1'000'000);
    CHECK(page == apps::report_page({moe, twin}));
    nlohmann::json curve = document_in(page)["runs"][0]["curve"];
    CHECK(curve["records"] == 10000);
    std::size_t points = curve["points"];
    CHECK(points <= 1000);
    std::size_t records = 0;
    for (const nlohmann::json& bucket : curve["count"]) records += bucket.get<std::size_t>();
    CHECK(records == 10000);
    for (const char* column : {"step", "tokens", "seconds", "loss", "least", "most", "lr", "grad_norm", "tokens_per_second"}) {
        CHECK(curve[column].size() == points);
    }
}

TEST_CASE("a run without records, plan or experts gives a page whose document has the same shape") {
    tests::TemporaryFolder folder;
    std::filesystem::create_directories(folder / "run");
    std::ofstream(folder / "run" / "metrics.jsonl") << "";
    nlohmann::json document = document_in(apps::report_page({apps::read_run(folder / "run")}));
    const nlohmann::json& run = document["runs"][0];
    CHECK(run["curve"]["step"].empty());
    CHECK(run["layers"].empty());
    CHECK(run["summary"]["parameters"].is_null());
    CHECK(run["problems"].size() == 2);
}

TEST_CASE("text is made safe for elements and attributes") {
    CHECK(apps::html_text("<a b=\"c\" d='e'>&") == "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;");
}
