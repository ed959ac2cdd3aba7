#include "apps/report_leaks.h"

#include <cstdlib>

namespace apps {

std::vector<std::string> future_leaks(const std::map<std::string, std::string>& config) {
    auto value = [&](const char* key) {
        auto found = config.find(key);
        return found == config.end() ? std::string() : found->second;
    };
    const std::string method = value("ffn.method");
    std::vector<std::string> leaks;
    if (method == "expert-choice")
        leaks.emplace_back("leaks the future, in evaluation too: an expert picks its tokens among all positions (expert-choice)");
    if (method == "base" || method == "s-base") {
        leaks.emplace_back("leaks the future in training: a later token can move an earlier one to another expert (" + method + ")");
    }
    if (method == "gshard" && std::atof(value("ffn.capacity_factor").c_str()) > 0) {
        leaks.emplace_back(
            "leaks the future in training: a later token's first choice can take an earlier one's second seat (gshard with a capacity)");
    }
    if (method == "switch" && std::atof(value("ffn.capacity_factor").c_str()) > 0 && std::atoi(value("ffn.k").c_str()) > 1) {
        leaks.emplace_back(
            "leaks the future: a later token's first choice can take an earlier one's second seat (switch with a capacity and k > 1)");
    }
    if (value("ffn.query_norm") == "batch") {
        leaks.emplace_back("leaks the future in training: queries are normalised over all positions (query_norm = batch)");
    }
    if (value("mixer.routing") == "partial-prediction") {
        leaks.emplace_back(
            "leaks the future within a sequence's first positions, which choose its expert and carry no loss (partial-prediction)");
    }
    return leaks;
}

}  // namespace apps
