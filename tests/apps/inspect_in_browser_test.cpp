// The page of `inspect` as a browser shows it.
#include "apps/inspection.h"
#include "tests/support/browser.h"

#include <doctest/doctest.h>

using tests::has;
using tests::Shown;

namespace {

apps::Inspection inspection_of(const std::string& name, int layers) {
    apps::Inspection inspection{.name = name, .path = "runs/" + name, .method = "sigma-moe", .step = 12};
    inspection.tensors = {{.name = "embedding.w", .dtype = "F32", .shape = {4, 3}, .count = 12, .mean = 0.25, .deviation = 1, .most = 2},
                          {.name = "head.w", .dtype = "F32", .shape = {3, 4}, .count = 12, .not_finite = 1}};
    inspection.routing = {.split = "valid", .tokens = 4, .nats_per_token = 1.25};
    for (int layer = 0; layer < layers; ++layer) {
        std::vector<std::int32_t> ids{0, 1, 1, 2, 2, layer, 0, 1};
        std::vector<double> gates(8, 0.5);
        apps::RoutingShape shape{.cells = 5, .choices = 2, .sequence_length = 2};
        apps::LayerChoices choices{apps::RoutingCounts(shape), apps::RoutingCounts(shape), apps::CoSelection(5, 2)};
        choices.counts.add(ids, gates);
        choices.windows.add(ids, gates);
        choices.pairs.add(ids);
        choices.rows = 4;
        inspection.routing.layers.emplace(layer, choices);
    }
    return inspection;
}

}  // namespace

TEST_CASE("a browser draws what inspect found, of layers that choose and of none, and complains of nothing") {
    tests::TemporaryFolder folder;
    apps::Inspection attacked = inspection_of("</script><script>document.title='owned'</script>", 2);
    attacked.notes = {"leaks the future: <img src=x>"};
    for (const apps::Inspection& inspection : {inspection_of("moe", 3), inspection_of("dense", 0), attacked}) {
        Shown shown = tests::show(apps::inspection_page(inspection), folder);
        if (shown.document.empty()) return;
        CHECK(shown.console == "");
        CHECK(has(shown, "<footer class=\"wide\" id=\"footer\"><p>Made by"));
        CHECK(has(shown, ">embedding.w</th>"));
        CHECK(has(shown, "layer 1</th>") == !inspection.routing.layers.empty());
        CHECK_FALSE(has(shown, "<title>owned"));
        CHECK_FALSE(has(shown, "<img"));
    }
}

TEST_CASE("a click on a layer shows its pairs, and the address keeps it") {
    tests::TemporaryFolder folder;
    std::string page = tests::with_script(apps::inspection_page(inspection_of("moe", 3)), R"(
        const press = (target, key) => target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
        const heat = document.querySelector("#load canvas");
        press(heat, "ArrowDown"); press(heat, "ArrowDown"); press(heat, "Enter");
        const cell = byId("spoken").textContent;
        press(document.querySelector("#together canvas"), "ArrowRight");
        return [cell, byId("spoken").textContent, document.querySelector("#together h3").textContent, location.hash].join("|");)");
    Shown shown = tests::show(page, folder, "layer0=0");
    if (shown.document.empty()) return;
    CHECK(shown.console == "");
    std::string result = tests::result_of(shown);
    INFO(result);
    CHECK(result.starts_with("layer 2, expert 0: load 1.25|expert 0: "));
    CHECK(result.find("Layer 2") != std::string::npos);
    CHECK(result.ends_with("layer0=2"));
}
