#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace apps {

// What one exchange between ranks costs: latency + bytes that leave a rank / bandwidth.
struct Link {
    double latency = 0;    // seconds
    double bandwidth = 0;  // bytes a second that leave a rank
};

// Bytes that leave a rank per byte of the whole tensor, over n ranks: nccl-tests' factors of its bus bandwidth (all-reduce 2(n−1)/n,
// all-gather (n−1)/n). And how many exchanges follow each other in a call.
double bus_factor(const std::string& collective, int ranks);
int exchanges_of(const std::string& collective);

// Measured by `bench comm`, read by `plan`. A collective: all_gather, tree_sum, plain_sum.
struct CommConstants {
    std::string device;
    int ranks = 0;                       // of the measurement that came last
    std::map<std::string, Link> local;   // by collective, between ranks of one machine
    std::map<std::string, Link> remote;  // between ranks of several
};

// JSON. Throws where the file is missing or something else.
CommConstants load_constants(const std::filesystem::path& path);
// What `measured` leaves out stays as the file has it.
void save_constants(const std::filesystem::path& path, const CommConstants& measured);

// A call's time for tensors of some size.
struct CommPoint {
    double bytes;  // that leave a rank
    double seconds;
};
// The line through the points that is nearest in relative terms: t ≈ exchanges · latency + bytes / bandwidth, both terms at least 0.
Link fitted_link(const std::vector<CommPoint>& points, int exchanges);

}  // namespace apps
