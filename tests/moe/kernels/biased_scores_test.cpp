#include "moe/kernels/biased_scores.h"

#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;
using moe::kernels::GroupRule;
using moe::kernels::Score;

namespace {

std::vector<double> keys_of(Exec& exec, const std::vector<double>& z, const std::vector<double>& bias, GroupRule rule) {
    Size E = static_cast<Size>(bias.size()), N = static_cast<Size>(z.size()) / E;
    Tensor logits = from_host(exec, {N, E}, Dtype::f32, z), biases = from_host(exec, {E}, Dtype::f32, bias), keys(exec, {N, E}, Dtype::f32);
    visit_sum(exec, Dtype::f32, [&]<class D, class S>(On<D, S>) {
        moe::kernels::biased_scores<D, S>(exec, keys.rows<S>(), logits.rows<S>(), biases.data<S>(), rule);
    });
    return to_host<double>(exec, keys);
}

// Which experts are open.
std::vector<bool> open(const std::vector<double>& keys) {
    std::vector<bool> result;
    for (double key : keys) result.push_back(key != -INFINITY);
    return result;
}

}  // namespace

TEST_CASE_DEVICES(
    "a group's score is its best expert's for softmax and its two best ones' sum for sigmoid, bias included; ties to the lower") {
    std::vector<double> z = {3, -9, 1, 1, 0, 0}, none(6, 0.0);
    CHECK(open(keys_of(exec, z, none, {Score::softmax, 3, 1})) == std::vector<bool>{true, true, false, false, false, false});
    CHECK(open(keys_of(exec, z, none, {Score::sigmoid, 3, 1})) == std::vector<bool>{false, false, true, true, false, false});
    CHECK(open(keys_of(exec, z, {0, 0, 0, 0, 2, 0}, {Score::softmax, 3, 1})) == std::vector<bool>{false, false, false, false, true, true});
    CHECK(open(keys_of(exec, std::vector<double>(6, 0.5), none, {Score::sigmoid, 3, 2})) ==
          std::vector<bool>{true, true, true, true, false, false});
    CHECK(open(keys_of(exec, z, none, {Score::sigmoid, 6, 6})) == std::vector<bool>(6, true));
}

TEST_CASE("biased scores have the same bits on cpu and simt, and equal their formula") {
    Exec cpu, simt{.device = {DeviceKind::simt, 0}};
    std::vector<double> z = tests::random_values(67 * 12, 1), bias = tests::random_values(12, 2);
    for (double& value : z) value = 30 * static_cast<double>(static_cast<float>(value));
    for (Score score : {Score::softmax, Score::sigmoid}) {
        std::vector<double> keys = keys_of(cpu, z, bias, {score, 1, 1});
        CHECK(keys_of(simt, z, bias, {score, 1, 1}) == keys);
        CHECK(keys_of(simt, z, bias, {score, 4, 2}) == keys_of(cpu, z, bias, {score, 4, 2}));
        for (std::size_t n = 0; n < 67; ++n) {
            double sum = 0;
            for (std::size_t e = 0; e < 12; ++e) sum += std::exp(static_cast<double>(static_cast<float>(z[n * 12 + e])));
            for (std::size_t e = 0; e < 12; ++e) {
                double logit = static_cast<double>(static_cast<float>(z[n * 12 + e]));
                double s = score == Score::softmax ? std::exp(logit) / sum : 1 / (1 + std::exp(-logit));
                CHECK(std::abs(keys[n * 12 + e] - s - bias[e]) < 16 * 0x1p-23);  // a sum of twelve exponentials of about 2 ulp
            }
        }
    }
}
