#include "apps/report_leaks.h"

#include <doctest/doctest.h>

namespace {

// The only sentence, or "" for none.
std::string leak(const std::map<std::string, std::string>& config) {
    std::vector<std::string> leaks = apps::future_leaks(config);
    REQUIRE(leaks.size() <= 1);
    return leaks.empty() ? "" : leaks.front();
}

}  // namespace

TEST_CASE("runs whose method leaks the future are told from those that do not") {
    for (const char* causal : {"sigma-moe", "switch", "gshard", "hash", "deepseek", "avg-k", "pkm", "peer"})
        CHECK(leak({{"ffn.method", causal}}) == "");
    CHECK(leak({}) == "");
    CHECK(leak({{"ffn.method", "expert-choice"}}).starts_with("leaks the future, in evaluation too"));
    for (const char* method : {"base", "s-base"}) CHECK(leak({{"ffn.method", method}}).starts_with("leaks the future in training"));
    CHECK(leak({{"ffn.method", "gshard"}, {"ffn.capacity_factor", "1.25"}}).find("capacity") != std::string::npos);
    CHECK(leak({{"ffn.method", "gshard"}, {"ffn.capacity_factor", "0"}}) == "");
    CHECK(leak({{"ffn.method", "switch"}, {"ffn.capacity_factor", "1.25"}}) == "");
    CHECK(leak({{"ffn.method", "switch"}, {"ffn.capacity_factor", "1.25"}, {"ffn.k", "2"}}).find("k > 1") != std::string::npos);
    CHECK(leak({{"ffn.method", "switch"}, {"ffn.k", "2"}}) == "");
    CHECK(leak({{"ffn.method", "peer"}, {"ffn.query_norm", "batch"}}).find("query_norm") != std::string::npos);
    CHECK(leak({{"ffn.method", "peer"}, {"ffn.query_norm", "layer"}}) == "");
    CHECK(leak({{"mixer.method", "smlp"}, {"mixer.routing", "partial-prediction"}}).find("carry no loss") != std::string::npos);
    CHECK(leak({{"mixer.method", "smlp"}, {"mixer.routing", "deterministic"}}) == "");
}
