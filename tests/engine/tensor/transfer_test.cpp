// Values between the host and a device: now, and asked for now but looked at later.
#include "engine/tensor/transfer.h"

#include "engine/tensor/later_read.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

#include <numeric>

using namespace engine;

namespace {

std::vector<std::int32_t> numbers(Size count, std::int32_t first) {
    std::vector<std::int32_t> values(static_cast<std::size_t>(count));
    std::iota(values.begin(), values.end(), first);
    return values;
}

}  // namespace

TEST_CASE_DEVICES("what is read later are the values of the time when it was asked for, as often as one asks") {
    LaterRead read;
    for (Size count : {7, 3, 5000}) {
        Tensor values = from_host(exec, {count}, Dtype::i32, numbers(count, 11));
        read.begin(exec, values);
        copy(exec, values, zeros(exec, {count}, Dtype::i32));
        CHECK(read.end() == numbers(count, 11));
        read.begin(exec, values);
        read.begin(exec, from_host(exec, {2, 3}, Dtype::i32, numbers(6, -2)));
        values = Tensor();
        CHECK(read.end() == numbers(6, -2));
    }
}

TEST_CASE_DEVICES("many small copies to a device, one behind another and at once, and large ones all arrive") {
    // Above and below what a GPU takes along at once, and more than it can hold of that.
    std::vector<Tensor> tensors;
    std::vector<Size> counts{1, 1000, 262144, 262145, 700000};
    for (int round = 0; round < 5; ++round) {
        for (Size count : counts) tensors.push_back(from_host(exec, {count}, Dtype::i32, numbers(count, round)));
    }
    for (std::size_t i = 0; i < tensors.size(); ++i)
        CHECK(to_host<std::int32_t>(exec, tensors[i]) == numbers(counts[i % counts.size()], static_cast<std::int32_t>(i / counts.size())));
}

TEST_CASE_DEVICES("values put into columns of a tensor leave those beside them, and padding is zero") {
    Tensor whole = from_host(exec, {3, 20}, Dtype::f32, tests::random_values(60, 1)), part = whole.columns(8, 8);
    std::vector<double> before = to_host<double>(exec, whole), inside = tests::random_values(24, 2);
    copy_from_host(exec, part, inside);
    std::vector<double> after = to_host<double>(exec, whole);
    for (std::size_t i = 0; i < after.size(); ++i) {
        std::size_t row = i / 20, column = i % 20;
        bool replaced = column >= 8 && column < 16;
        CHECK(after[i] == (replaced ? static_cast<double>(static_cast<float>(inside[row * 8 + column - 8])) : before[i]));
    }
    REQUIRE(whole.row_stride() == 24);
    std::vector<double> padding = to_host<double>(exec, whole.view_at(20, {3, 4}, 24));
    CHECK(padding == std::vector<double>(12, 0.0));
}
