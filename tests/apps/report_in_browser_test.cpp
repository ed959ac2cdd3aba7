// The page as a browser shows it: nothing on the console, controls that work, names that stay text. Needs chromium; says so where there is
// none.
#include "apps/report_page.h"
#include "tests/support/browser.h"
#include "tests/support/run_folder.h"

#include <doctest/doctest.h>

using tests::has;
using tests::read_back;
using tests::show;
using tests::Shown;
using tests::with_script;

TEST_CASE("a browser draws one run, many runs and runs with nothing to draw, and complains of nothing") {
    tests::TemporaryFolder folder;
    apps::RunReport moe = read_back({.records = 30, .notes = {"leaks the future: a test"}, .samples = {"text"}}, folder / "moe");
    apps::RunReport dense = read_back({.method = "dense", .records = 40, .layers = 0}, folder / "dense");
    apps::RunReport bare = read_back({.records = 20, .layers = 0, .parameters = 0, .test_split = false}, folder / "bare");
    apps::RunReport nothing{.name = "nothing", .problems = {"no records"}};
    for (const auto& runs :
         std::vector<std::vector<apps::RunReport>>{{moe}, {dense, moe}, {dense, moe, bare, moe}, {nothing}, {nothing, dense}}) {
        Shown shown = show(apps::report_page(runs), folder);
        if (shown.document.empty()) return;
        CHECK(shown.console == "");
        CHECK(has(shown, "<footer class=\"wide\" id=\"footer\"><p>"));  // what is made last
        for (const apps::RunReport& run : runs) CHECK(has(shown, "</span>" + run.name + "</th>"));
        for (const apps::RunReport& run : runs) {
            for (const std::string& note : run.notes) CHECK(has(shown, note + "</p>"));
        }
    }
}

TEST_CASE("the address chooses what a browser shows, and every control changes it") {
    tests::TemporaryFolder folder;
    apps::RunReport moe = read_back({.records = 60, .unevenness = 1.2}, folder / "moe");
    apps::RunReport dense = read_back({.method = "dense", .records = 60, .layers = 0}, folder / "dense");
    std::string page = with_script(apps::report_page({dense, moe}), R"(
        const before = [...document.querySelectorAll("#legend button")].map((one) => one.getAttribute("aria-pressed")).join();
        for (const button of byId("legend").children) button.click();
        byId("choose-x").querySelector("[value=flops]").click();
        byId("choose-unit").querySelector("[value=bits]").click();
        byId("log-x").click();
        byId("full-y").click();
        byId("theme").click();
        const slider = document.querySelector(".time input");
        slider.value = 0;
        slider.dispatchEvent(new Event("input"));
        const press = (target, key) => target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
        const heat = document.querySelector(".heat canvas");
        press(heat, "ArrowDown"); press(heat, "ArrowRight"); press(heat, "Enter");
        const cell = byId("spoken").textContent;
        const chart = document.querySelector("#loss canvas");
        press(chart, "ArrowRight");
        const record = byId("spoken").textContent;
        press(chart, "+");
        return [before, cell, record, location.hash].join("|");)");
    Shown shown = show(page, folder, "hide=1&smooth=0.5");
    if (shown.document.empty()) return;
    CHECK(shown.console == "");
    std::string result = tests::result_of(shown);
    INFO(result);
    CHECK(result.starts_with("true,false|layer 1, expert 1: load "));
    CHECK(result.find("|step ") != std::string::npos);
    for (const char* word :
         {"x=flops", "log=1", "smooth=0.5", "unit=bits", "full=1", "hide=0", "zoom=", "theme=light", "frame=0", "layer1=1"}) {
        CHECK(result.find(word) != std::string::npos);
    }
}

TEST_CASE("runs that differ only in their seed share a colour, and their spread is drawn") {
    tests::TemporaryFolder folder;
    apps::RunReport first = read_back({.records = 20, .layers = 1}, folder / "moe"), second = first;
    apps::RunReport dense = read_back({.method = "dense", .records = 20, .layers = 0}, folder / "dense");
    first.config.insert_or_assign("seed", std::string("1"));
    second.config.insert_or_assign("seed", std::string("2"));
    first.name = std::string("moe seed 1"), second.name = std::string("moe seed 2");
    std::string page = with_script(apps::report_page({first, dense, second}), R"(
        return [runColor(0) === runColor(2), runColor(0) === runColor(1), runDash(0).join() === runDash(2).join(),
                byId("seeds").querySelectorAll("tbody tr").length].join("|");)");
    Shown shown = show(page, folder);
    if (shown.document.empty()) return;
    CHECK(shown.console == "");
    CHECK(tests::result_of(shown) == "true|false|false|2");
    CHECK(has(shown, "</span>moe</th>"));
}

TEST_CASE("a browser shows an attack in a run's files as text") {
    tests::TemporaryFolder folder;
    const std::string attack = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">";
    apps::RunReport run = read_back({.method = "dense", .records = 5, .layers = 1, .notes = {attack}, .samples = {attack}}, folder / "run");
    run.name = run.method = run.config["key"] = run.config_text = attack;
    run.plan.parts.emplace_back(attack, 1);
    run.evaluations.back().split = attack;
    run.curve.balance[attack] = run.curve.loss;
    apps::RunReport other = run;
    other.name = other.config[attack] = "other";
    Shown shown = show(apps::report_page({run, other}), folder);
    if (shown.document.empty()) return;
    CHECK(shown.console == "");
    CHECK_FALSE(has(shown, "<title>owned"));
    CHECK_FALSE(has(shown, "<img"));
    CHECK(has(shown, "&lt;/script&gt;&lt;script&gt;document.title='owned'"));
}
