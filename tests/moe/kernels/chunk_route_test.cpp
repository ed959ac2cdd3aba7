#include "moe/kernels/chunk_route.h"

#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;
using moe::kernels::Chunks;

namespace {

struct Routed {
    std::vector<std::int32_t> ids;
    std::vector<double> gates, chances, means;
};

// Two sequences of seven rows, E chunks of four columns.
Routed route(Exec& exec, Dtype dtype, Size E, Size prefix, const std::vector<double>& z_values, const std::vector<double>& w_values) {
    Chunks chunks{2, 7, E, 2};
    Tensor z = from_host(exec, {14, 4 * E}, dtype, z_values), w = from_host(exec, {4, E}, dtype, w_values);
    Tensor ids(exec, {2 * E}, Dtype::i32), gates(exec, {2 * E}, sum_dtype(dtype));
    Tensor chances(exec, {2 * E, E}, sum_dtype(dtype)), means(exec, {2 * E, 4}, sum_dtype(dtype));
    visit(exec, dtype, [&]<class D, class T>(On<D, T>) {
        moe::kernels::chunk_route<D, T>(exec, ids.data<std::int32_t>(), gates.data<Sum<T>>(), chances.rows<Sum<T>>(), means.rows<Sum<T>>(),
                                        z.rows<T>(), w.rows<T>(), chunks, prefix);
    });
    return {to_host<std::int32_t>(exec, ids), to_host<double>(exec, gates), to_host<double>(exec, chances), to_host<double>(exec, means)};
}

}  // namespace

TEST_CASE_DEVICES("a chunk goes to the expert of its prefix's mean, with that softmax's value") {
    constexpr Size E = 5;
    auto z = tests::random_values(14 * 4 * E, 1), w = tests::random_values(4 * E, 2);
    for (Size prefix : {1, 3, 7}) {
        Routed got = route(exec, Dtype::f32, E, prefix, z, w);
        for (std::size_t group = 0; group < 2 * E; ++group) {
            std::size_t b = group / E, i = group % E;
            double logits[E] = {}, sum = 0, most = -9;
            for (std::size_t f = 0; f < 4; ++f) {
                double mean = 0;
                for (std::size_t t = 0; t < static_cast<std::size_t>(prefix); ++t)
                    mean += z[(b * 7 + t) * 4 * E + 4 * i + f] / static_cast<double>(prefix);
                for (std::size_t e = 0; e < E; ++e) logits[e] += mean * w[f * E + e];
            }
            for (double logit : logits) most = std::max(most, logit), sum += std::exp(logit);
            std::size_t id = static_cast<std::size_t>(got.ids[group]);
            CHECK(logits[id] > most - 1e-6);
            // Means and logits of at most 7 and 4 terms below 1, and an exponential: 16·2⁻²⁴.
            CHECK(std::abs(got.gates[group] - std::exp(most) / sum) < 1e-6);
            for (std::size_t e = 0; e < E; ++e) CHECK(std::abs(got.chances[group * E + e] - std::exp(logits[e]) / sum) < 1e-6);
        }
    }
}

TEST_CASE("ids have equal bits on cpu and simt, and ties go to the lower index") {
    Exec cpu;
    Exec simt{.device = {DeviceKind::simt, 0}, .pool = &pool_of({DeviceKind::simt, 0})};
    for (std::uint64_t draw = 0; draw < 20; ++draw) {
        auto z = tests::random_values(14 * 12, draw), w = tests::random_values(12, 100 + draw);
        for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
            Routed a = route(cpu, dtype, 3, 5, z, w), b = route(simt, dtype, 3, 5, z, w);
            CHECK(a.ids == b.ids);
            CHECK(a.means == b.means);
        }
    }
    Routed tied = route(simt, Dtype::f32, 3, 5, std::vector<double>(14 * 12, 0.5), std::vector<double>(12, 0.25));
    CHECK(tied.ids == std::vector<std::int32_t>(6, 0));
    CHECK(tied.gates == std::vector<double>(6, static_cast<double>(1.0f / 3.0f)));
    CHECK(route(cpu, Dtype::f32, 3, 5, std::vector<double>(14 * 12, 0.5), std::vector<double>(12, 0.25)).ids == tied.ids);
}
