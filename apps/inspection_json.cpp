#include "apps/inspection.h"

#include <cmath>

namespace apps {
namespace {

using Json = nlohmann::ordered_json;

Json pairs_json(const CoSelection& pairs) {
    if (!pairs.counted()) return nullptr;
    auto rows = [E = pairs.cells()](const std::vector<double>& of) {
        Json matrix = Json::array();
        for (auto row = of.begin(); row != of.end(); row += E) matrix.push_back(std::vector<double>(row, row + E));
        return matrix;
    };
    return {{"tokens", rows(pairs.together())}, {"expected", rows(pairs.expected())}};
}

Json layer_json(int layer, const LayerChoices& choices) {
    const RoutingShape& shape = choices.counts.shape();
    double entropy = choices.router_entropy / static_cast<double>(choices.rows);
    Json json{{"layer", layer},
              {"cells", shape.cells},
              {"sub_keys", shape.sub_keys > 0 ? Json(shape.sub_keys) : Json()},
              {"choices_per_token", shape.choices},
              {"tokens", choices.rows},
              {"router_entropy", std::isfinite(entropy) ? Json(entropy) : Json()}};
    json.update(routing_json(routing_metrics(choices.counts)));
    json["window"] = routing_json(routing_metrics(choices.windows)).value("sequence", Json());
    json["co_selection"] = pairs_json(choices.pairs);
    return json;
}

}  // namespace

nlohmann::ordered_json inspection_json(const Inspection& inspection) {
    Json tensors = Json::array(), layers = Json::array();
    Size parameters = 0;
    for (const TensorFacts& one : inspection.tensors) {
        parameters += one.count;
        tensors.push_back({{"name", one.name},
                           {"dtype", one.dtype},
                           {"shape", one.shape},
                           {"count", one.count},
                           {"mean", one.mean},
                           {"std", one.deviation},
                           {"min", one.least},
                           {"max", one.most},
                           {"not_finite", one.not_finite}});
    }
    for (const auto& [layer, choices] : inspection.routing.layers) layers.push_back(layer_json(layer, choices));
    const RoutingFacts& routing = inspection.routing;
    return {{"name", inspection.name},
            {"run", inspection.path},
            {"step", inspection.step},
            {"method", inspection.method},
            {"notes", inspection.notes},
            {"values", parameters},
            {"tensors", tensors},
            {"routing",
             {{"split", routing.split},
              {"tokens", routing.tokens},
              {"nats_per_token", routing.tokens > 0 ? Json(routing.nats_per_token) : Json()},
              {"layers", layers}}}};
}

}  // namespace apps
