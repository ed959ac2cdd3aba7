#include "moe/kernels/weighted_rows.h"

#include "engine/base/threads.h"
#include "engine/base/visit.h"
#include "engine/kernels/elementwise.h"
#include "engine/tensor/transfer.h"
#include "moe/kernels/slot_sort.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

#include <sys/mman.h>

using namespace engine;
using tests::random_values;

namespace {

struct Setting {
    Size N, J, M, C;
    bool add = false;
    int shards = 1;
    bool sorted = true;
};

struct Results {
    std::vector<double> dots, y, dtable, fused_dots;
    bool operator==(const Results&) const = default;
};

// Row 1 of the table is never chosen, unless it is the only other one; the first token chooses one row twice.
std::vector<std::int32_t> chosen(const Setting& s) {
    std::vector<std::int32_t> ids;
    for (double value : random_values(s.N * s.J, 9)) {
        auto id = static_cast<std::int32_t>((value + 1) / 2 * static_cast<double>(s.M));
        ids.push_back(id == 1 && s.M > 2 ? 2 : id);
    }
    if (ids.size() > 1 && s.J > 1) ids[1] = ids[0];
    return ids;
}

Results run(Exec& exec, Dtype dtype, const Setting& s, const std::vector<std::int32_t>& ids) {
    Exec on = exec;
    on.shards = {0, s.shards, s.shards};
    Dtype wide = sum_dtype(dtype);
    Tensor id = from_host(on, {s.N * s.J}, Dtype::i32, ids), offsets(on, {s.M + 1}, Dtype::i32), order(on, {s.N * s.J}, Dtype::i32);
    Tensor x = from_host(on, {s.N, s.C}, dtype, random_values(s.N * s.C, 1)),
           table = from_host(on, {s.M, s.C}, dtype, random_values(s.M * s.C, 2)),
           w = from_host(on, {s.N, s.J}, wide, random_values(s.N * s.J, 3));
    Tensor dots(on, {s.N, s.J}, wide), fused = zeros(on, {s.N, s.J}, wide),
                                       y = from_host(on, {s.N, s.C}, dtype, random_values(s.N * s.C, 4)),
                                       dtable = from_host(on, {s.M, s.C}, wide, random_values(s.M * s.C, 5));
    visit(on, dtype, [&]<class D, class T>(On<D, T>) {
        moe::kernels::slot_sort<D>(on, offsets.data<std::int32_t>(), order.data<std::int32_t>(), id.data<std::int32_t>(), s.N * s.J, s.M);
        moe::kernels::RowChoices choices{s.N,
                                         s.J,
                                         s.M,
                                         id.data<std::int32_t>(),
                                         s.sorted ? offsets.data<std::int32_t>() : nullptr,
                                         s.sorted ? order.data<std::int32_t>() : nullptr};
        moe::kernels::row_dots<D, T>(on, dots.rows<Sum<T>>(), x.rows<T>(), table.rows<T>(), choices);
        moe::kernels::row_combine<D, T>(on, y.rows<T>(), s.add, w.rows<Sum<T>>(), table.rows<T>(), choices);
        choices.offsets = offsets.data<std::int32_t>(), choices.order = order.data<std::int32_t>();
        moe::kernels::row_gradient<D, T>(on, dtable.rows<Sum<T>>(), s.add, w.rows<Sum<T>>(), x.rows<T>(), choices, fused.rows<Sum<T>>(),
                                         table.rows<T>());
    });
    return {to_host<double>(on, dots), to_host<double>(on, y), to_host<double>(on, dtable), to_host<double>(on, fused)};
}

// From the formulas, on the values that the dtype holds.
Results reference(Dtype dtype, const Setting& s, const std::vector<std::int32_t>& ids) {
    Exec cpu;
    auto rounded = [&](Size rows, Size columns, std::uint64_t salt, Dtype as) {
        return to_host<double>(cpu, from_host(cpu, {rows, columns}, as, random_values(rows * columns, salt)));
    };
    Dtype wide = sum_dtype(dtype);
    auto x = rounded(s.N, s.C, 1, dtype), table = rounded(s.M, s.C, 2, dtype), w = rounded(s.N, s.J, 3, wide),
         y = rounded(s.N, s.C, 4, dtype), dtable = rounded(s.M, s.C, 5, wide);
    if (!s.add) std::fill(y.begin(), y.end(), 0.0), std::fill(dtable.begin(), dtable.end(), 0.0);
    std::vector<double> dots(w.size());
    for (std::size_t r = 0; r < w.size(); ++r) {
        std::size_t n = r / static_cast<std::size_t>(s.J), m = static_cast<std::size_t>(ids[r]), C = static_cast<std::size_t>(s.C);
        for (std::size_t c = 0; c < C; ++c) {
            dots[r] += x[n * C + c] * table[m * C + c];
            y[n * C + c] += w[r] * table[m * C + c];
            dtable[m * C + c] += w[r] * x[n * C + c];
        }
    }
    return {dots, y, dtable, dots};
}

const Setting kSettings[] = {
    {1, 1, 1, 1},
    {5, 3, 7, 13},
    {9, 16, 11, 33, true},
    {12, 5, 3, 64, false, 4},
    {33, 4, 101, 7},
    {20, 8, 31, 129, true, 2},
    {24, 9, 40, 48, false, 3, false},
    {600, 8, 2100, 129},  // the CPU walks through this table: it is large, and chosen often
};

}  // namespace

TEST_CASE_DEVICES("weighted rows equal their formulas in double precision: dots, sums, the table's gradient") {
    for (const Setting& s : kSettings) {
        if (s.M > 1000 && exec.device.kind == DeviceKind::simt) continue;  // nothing that smaller ones do not show
        auto ids = chosen(s);
        for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
            Results got = run(exec, dtype, s, ids), exact = reference(dtype, s, ids);
            // Sums of at most 129 terms of size 1 in fp32: 130·2⁻²⁴ of the largest; bf16 results are rounded to 8 bits.
            double bound = 130 * 0x1p-24, rounding = dtype == Dtype::bf16 ? 0x1p-8 : 0;
            CHECK(tests::relative_error(got.dots, exact.dots) < bound);
            CHECK(tests::relative_error(got.fused_dots, exact.dots) < bound);
            CHECK(tests::relative_error(got.y, exact.y) < bound + rounding);
            CHECK(tests::relative_error(got.dtable, exact.dtable) < bound);
        }
    }
}

TEST_CASE("weighted rows in double are exact to rounding") {
    Exec exec;
    for (const Setting& s : kSettings) {
        auto ids = chosen(s);
        Results got = run(exec, Dtype::f64, s, ids), exact = reference(Dtype::f64, s, ids);
        CHECK(tests::relative_error(got.y, exact.y) < 1e-14);
        CHECK(tests::relative_error(got.dtable, exact.dtable) < 1e-14);
        CHECK(tests::relative_error(got.fused_dots, exact.dots) < 1e-14);
    }
}

TEST_CASE_DEVICES("rows that nobody chose have a gradient of exact zeros, or keep theirs where one is added") {
    Setting s{8, 4, 9, 5};
    auto ids = chosen(s);
    auto dtable = run(exec, Dtype::f32, s, ids).dtable;
    for (std::size_t c = 0; c < 5; ++c) CHECK(dtable[5 + c] == 0.0);
    s.add = true;
    dtable = run(exec, Dtype::f32, s, ids).dtable;
    for (std::size_t c = 0; c < 5; ++c) CHECK(static_cast<float>(dtable[5 + c]) == static_cast<float>(random_values(45, 5)[5 + c]));
}

TEST_CASE("weighted rows have the same bits sorted or not, with any number of threads, alone or beside other rows") {
    Exec exec;
    // Small tables, and large ones that are chosen often enough to be walked through.
    for (Setting s : {Setting{300, 8, 40, 8}, Setting{300, 8, 40, 37}, Setting{300, 8, 1100, 129}, Setting{300, 8, 700, 192}}) {
        auto ids = chosen(s);
        set_threads(1);
        Results one = run(exec, Dtype::f32, s, ids);
        for (int count : {2, 5}) {
            set_threads(count);
            CHECK(run(exec, Dtype::f32, s, ids) == one);
        }
        set_threads(2);
        s.sorted = false;
        CHECK(run(exec, Dtype::f32, s, ids) == one);
        Setting first = s;
        first.N = 3;
        Results few = run(exec, Dtype::f32, first, {ids.begin(), ids.begin() + 3 * 8});
        CHECK(std::equal(few.y.begin(), few.y.end(), one.y.begin()));
        CHECK(std::equal(few.dots.begin(), few.dots.end(), one.dots.begin()));
    }
}

TEST_CASE_DEVICES("the table's gradient of four micro-shards is the tree of four gradients, bit for bit") {
    Setting s{20, 6, 13, 19, false, 4};
    auto ids = chosen(s);
    auto whole = run(exec, Dtype::f32, s, ids).dtable;
    // A shard alone: the others choose row 12 with weights that are not its own, so they are run one by one.
    Tensor w = from_host(exec, {20, 6}, Dtype::f32, random_values(120, 3)),
           x = from_host(exec, {20, 19}, Dtype::f32, random_values(380, 1));
    std::vector<std::vector<float>> leaf;
    for (Size shard = 0; shard < 4; ++shard) {
        std::vector<std::int32_t> own(ids.begin() + shard * 30, ids.begin() + (shard + 1) * 30);
        Tensor id = from_host(exec, {30}, Dtype::i32, own), offsets(exec, {14}, Dtype::i32), order(exec, {30}, Dtype::i32),
               dtable(exec, {13, 19}, Dtype::f32);
        visit(exec, Dtype::f32, [&]<class D, class T>(On<D, T>) {
            if constexpr (std::is_same_v<T, float>) {
                moe::kernels::slot_sort<D>(exec, offsets.data<std::int32_t>(), order.data<std::int32_t>(), id.data<std::int32_t>(), 30, 13);
                moe::kernels::RowChoices choices{
                    5, 6, 13, id.data<std::int32_t>(), offsets.data<std::int32_t>(), order.data<std::int32_t>()};
                moe::kernels::row_gradient<D, T>(exec, dtable.rows<T>(), false, w.rows<T>().slice(shard * 5, 5),
                                                 x.rows<T>().slice(shard * 5, 5), choices);
            }
        });
        leaf.push_back(to_host<float>(exec, dtable));
    }
    for (std::size_t i = 0; i < whole.size(); ++i) CHECK(whole[i] == (leaf[0][i] + leaf[1][i]) + (leaf[2][i] + leaf[3][i]));
}

namespace {

// Columns [first, first + columns) of everything, on a device.
Results part_of(Exec& exec, Dtype dtype, const Setting& s, const std::vector<std::int32_t>& ids, int parts, int part) {
    Exec on = exec;
    on.shards = {0, s.shards, s.shards};
    Dtype wide = sum_dtype(dtype);
    Size columns = s.C / parts, first = columns * part;
    auto cut = [&](Size rows, Dtype as, std::uint64_t salt) {
        return from_host(on, {rows, s.C}, as, random_values(rows * s.C, salt)).columns(first, columns);
    };
    Tensor id = from_host(on, {s.N * s.J}, Dtype::i32, ids), offsets(on, {s.M + 1}, Dtype::i32), order(on, {s.N * s.J}, Dtype::i32);
    Tensor x = cut(s.N, dtype, 1), table = cut(s.M, dtype, 2), y = cut(s.N, dtype, 4), dtable = cut(s.M, wide, 5);
    Tensor w = from_host(on, {s.N, s.J}, wide, random_values(s.N * s.J, 3)), dots(on, {s.N, s.J}, wide),
           fused = zeros(on, {s.N, s.J}, wide);
    visit(on, dtype, [&]<class D, class T>(On<D, T>) {
        moe::kernels::slot_sort<D>(on, offsets.data<std::int32_t>(), order.data<std::int32_t>(), id.data<std::int32_t>(), s.N * s.J, s.M);
        moe::kernels::RowChoices choices{s.N,  s.J, s.M, id.data<std::int32_t>(), offsets.data<std::int32_t>(), order.data<std::int32_t>(),
                                         parts};
        moe::kernels::row_dots<D, T>(on, dots.rows<Sum<T>>(), x.rows<T>(), table.rows<T>(), choices);
        moe::kernels::row_combine<D, T>(on, y.rows<T>(), s.add, w.rows<Sum<T>>(), table.rows<T>(), choices);
        moe::kernels::row_gradient<D, T>(on, dtable.rows<Sum<T>>(), s.add, w.rows<Sum<T>>(), x.rows<T>(), choices, fused.rows<Sum<T>>(),
                                         table.rows<T>());
    });
    return {to_host<double>(on, dots), to_host<double>(on, y), to_host<double>(on, dtable), to_host<double>(on, fused)};
}

// Dots of neighbouring parts, added in float (or double) along the tree.
std::vector<double> tree_of(std::vector<std::vector<double>> parts, Dtype wide) {
    while (parts.size() > 1) {
        for (std::size_t p = 0; 2 * p < parts.size(); ++p) {
            std::vector<double> sum = parts[2 * p];
            for (std::size_t i = 0; i < sum.size(); ++i) {
                double right = parts[2 * p + 1][i];
                sum[i] = wide == Dtype::f64 ? sum[i] + right : static_cast<float>(sum[i]) + static_cast<float>(right);
            }
            parts[p] = sum;
        }
        parts.resize(parts.size() / 2);
    }
    return parts[0];
}

}  // namespace

TEST_CASE_DEVICES("parts of a table's columns give the bits of the whole: dots along the tree, sums and the table's gradient by column") {
    for (const Setting& s : {Setting{12, 5, 31, 128, true, 4}, Setting{7, 3, 9, 384}, Setting{300, 8, 1100, 128, true, 3}}) {
        bool simt = exec.device.kind == DeviceKind::simt;
        if (s.M > 1000 && simt) continue;  // walked through on the CPU only
        auto ids = chosen(s);
        for (Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f64}) {
            if (dtype == Dtype::f64 && exec.device.kind != DeviceKind::cpu) continue;
            Results whole = run(exec, dtype, s, ids);
            for (int parts : {2, 4, 8}) {
                CAPTURE(parts);
                std::vector<std::vector<double>> dots, fused;
                Results joined{.dots = {}, .y = whole.y, .dtable = whole.dtable, .fused_dots = {}};
                for (int p = 0; p < parts; ++p) {
                    Results part = part_of(exec, dtype, s, ids, parts, p);
                    dots.push_back(part.dots);
                    fused.push_back(part.fused_dots);
                    Size columns = s.C / parts;
                    auto put = [&](std::vector<double>& to, const std::vector<double>& from) {
                        for (std::size_t i = 0; i < from.size(); ++i) {
                            Size row = static_cast<Size>(i) / columns, column = static_cast<Size>(i) % columns;
                            to[static_cast<std::size_t>(row * s.C + p * columns + column)] = from[i];
                        }
                    };
                    put(joined.y, part.y);
                    put(joined.dtable, part.dtable);
                }
                joined.dots = tree_of(dots, sum_dtype(dtype));
                joined.fused_dots = tree_of(fused, sum_dtype(dtype));
                CHECK(joined == whole);
            }
        }
    }
}

TEST_CASE("a table may have more than 2^31 elements") {
    // Three rows, 2³⁰ elements apart; the memory between them is never touched.
    constexpr Size kStride = Size{1} << 30;
    std::size_t bytes = static_cast<std::size_t>(2 * kStride + 8) * sizeof(float);
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    Rows<float> table{static_cast<float*>(memory), 3, 4, kStride};
    std::int32_t ids[2] = {2, 0}, offsets[4], order[2];
    float w[2] = {0.5f, 2.0f}, x[4] = {1, 2, 3, 4}, y[4], dots[2];
    for (Size c = 0; c < 4; ++c) table(2, c) = static_cast<float>(c), table(0, c) = 1;
    Exec exec;
    visit(exec, Dtype::f32, [&]<class D, class T>(On<D, T>) {
        if constexpr (std::is_same_v<T, float>) {
            moe::kernels::slot_sort<D>(exec, offsets, order, ids, 2, 3);
            moe::kernels::RowChoices choices{1, 2, 3, ids, offsets, order};
            moe::kernels::row_dots<D, T>(exec, {dots, 1, 2, 2}, {x, 1, 4, 4}, table, choices);
            moe::kernels::row_combine<D, T>(exec, {y, 1, 4, 4}, false, {w, 1, 2, 2}, table, choices);
            CHECK(dots[0] == 20);
            CHECK(dots[1] == 10);
            CHECK(std::vector<float>(y, y + 4) == std::vector<float>{2, 2.5f, 3, 3.5f});
            moe::kernels::row_gradient<D, T>(exec, table, false, {w, 1, 2, 2}, {x, 1, 4, 4}, choices);
        }
    });
    CHECK(table(2, 3) == 2);
    CHECK(table(1, 3) == 0);
    CHECK(table(0, 3) == 8);
    munmap(memory, bytes);
}
