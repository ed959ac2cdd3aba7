#include "apps/comm_constants.h"

#include "engine/base/error.h"
#include "engine/io/atomic_file.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace apps {

using engine::expect;
using nlohmann::ordered_json;

namespace {

ordered_json json_of(const std::map<std::string, Link>& links) {
    ordered_json out = ordered_json::object();
    for (const auto& [collective, link] : links) {
        out[collective] = {{"latency_seconds", link.latency}, {"bytes_per_second", link.bandwidth}};
    }
    return out;
}

std::map<std::string, Link> links_of(const ordered_json& json) {
    std::map<std::string, Link> links;
    for (const auto& [collective, link] : json.items()) {
        Link own{link.at("latency_seconds").get<double>(), link.at("bytes_per_second").get<double>()};
        if (!(own.latency >= 0) || !(own.bandwidth > 0) || !std::isfinite(own.latency + own.bandwidth) || exchanges_of(collective) == 0) {
            throw std::invalid_argument(collective);
        }
        links[collective] = own;
    }
    return links;
}

}  // namespace

double bus_factor(const std::string& collective, int ranks) { return exchanges_of(collective) * static_cast<double>(ranks - 1) / ranks; }

int exchanges_of(const std::string& collective) {
    return collective == "all_gather" ? 1 : collective == "tree_sum" || collective == "plain_sum" ? 2 : 0;
}

CommConstants load_constants(const std::filesystem::path& path) {
    constexpr const char* kHint = "hint: moegrad launch --ranks 2 -- bench comm --out FILE makes one";
    expect(std::filesystem::is_regular_file(path), "comm", "{} is no file; {}", path.string(), kHint);
    try {
        ordered_json json = ordered_json::parse(engine::io::read_file(path));
        return {json.at("device"), json.at("ranks"), links_of(json.at("local")), links_of(json.at("remote"))};
    } catch (const std::exception& error) {
        engine::fail("comm", "{} holds no constants of communication ({}); {}", path.string(), error.what(), kHint);
    }
}

void save_constants(const std::filesystem::path& path, const CommConstants& measured) {
    CommConstants all = measured;
    if (std::filesystem::exists(path)) {
        CommConstants before = load_constants(path);
        expect(before.device == measured.device, "comm", "{} has constants of {}, these are of {}; hint: another file", path.string(),
               before.device, measured.device);
        all.local.merge(before.local);
        all.remote.merge(before.remote);
    }
    ordered_json json{{"device", all.device}, {"ranks", all.ranks}, {"local", json_of(all.local)}, {"remote", json_of(all.remote)}};
    engine::io::write_file(path, json.dump(2) + "\n");
}

Link fitted_link(const std::vector<CommPoint>& points, int exchanges) {
    // Least squares of (a + b·x − t)/t.
    double w = 0, x = 0, xx = 0, t = 0, xt = 0;
    for (const CommPoint& point : points) {
        double weight = 1 / (point.seconds * point.seconds);
        w += weight;
        x += weight * point.bytes;
        xx += weight * point.bytes * point.bytes;
        t += weight * point.seconds;
        xt += weight * point.bytes * point.seconds;
    }
    double determinant = w * xx - x * x;
    double b = determinant > 0 ? (w * xt - x * t) / determinant : 0;
    double a = (t - b * x) / w;
    if (a < 0) a = 0, b = xt / xx;
    if (b <= 0) {
        // Latency hides all the rest: the largest says what bandwidth there is at least.
        const CommPoint& largest = *std::max_element(points.begin(), points.end(), [](auto& l, auto& r) { return l.bytes < r.bytes; });
        return {std::max(0.0, t / w) / exchanges, largest.bytes / largest.seconds};
    }
    return {a / exchanges, 1 / b};
}

}  // namespace apps
