#include "engine/kernels/grouped_product.h"

#include "engine/base/threads.h"
#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "tests/support/devices.h"
#include "tests/support/random.h"

using namespace engine;
using kernels::Groups;
using kernels::Layout;

namespace {

// N tokens with K choices among E experts, of which expert 1 gets nothing; the arrays of Groups, and where two micro-shards begin.
struct Routing {
    Routing(Size N, Size K, Size E) : ids(static_cast<std::size_t>(N * K)), offsets{0}, position(ids.size()), middle() {
        auto draws = tests::random_values(N * K, 9);
        for (std::size_t i = 0; i < ids.size(); ++i) {
            ids[i] = static_cast<std::int32_t>((draws[i] + 1) / 2 * static_cast<double>(E));
            if (ids[i] == 1) ids[i] = static_cast<std::int32_t>(E - 1);
        }
        for (Size e = 0; e < E; ++e) {
            for (std::size_t i = 0; i < ids.size(); ++i) {
                if (i == ids.size() / 2) middle.push_back(static_cast<std::int32_t>(token.size()));
                if (ids[i] != e) continue;
                position[i] = static_cast<std::int32_t>(token.size());
                token.push_back(static_cast<std::int32_t>(static_cast<Size>(i) / K));
            }
            offsets.push_back(static_cast<std::int32_t>(token.size()));
        }
    }
    std::vector<std::int32_t> ids, offsets, token, position, middle;
};

struct Case {
    Size N, K, E, C, G;
    Dtype dtype;
};

// Everything that the three products read and write, on the device.
struct Data {
    Data(Exec& on, const Case& of)
        : exec(on),
          c(of),
          routing(c.N, c.K, c.E),
          ids(from_host(exec, {c.N, c.K}, Dtype::i32, routing.ids)),
          offsets(from_host(exec, {c.E + 1}, Dtype::i32, routing.offsets)),
          token(from_host(exec, {c.N * c.K}, Dtype::i32, routing.token)),
          position(from_host(exec, {c.N, c.K}, Dtype::i32, routing.position)),
          middle(from_host(exec, {c.E}, Dtype::i32, routing.middle)),
          x(values({c.N, c.C}, 1)),
          w1(values({c.E * c.C, c.G}, 2)),
          w1_transposed(values({c.E * c.G, c.C}, 3)),
          h(values({c.N * c.K, c.G}, 4)),
          scale(from_host(exec, {c.N * c.K}, Dtype::f32, tests::random_values(c.N * c.K, 5))) {}
    Tensor values(Shape shape, std::uint64_t salt) const {
        return from_host(exec, shape, c.dtype, tests::random_values(shape.elements(), salt));
    }
    Groups groups() const {
        return {c.E,
                c.N * c.K,
                offsets.data<std::int32_t>(),
                token.data<std::int32_t>(),
                position.data<std::int32_t>(),
                ids.data<std::int32_t>(),
                c.K};
    }
    // Rounding of fp32 sums of `terms` values below 1, and of the result's dtype, against results of order 1.
    double bound(Size terms) const { return static_cast<double>(terms + 8) * 8 * 0x1p-24 + (c.dtype == Dtype::bf16 ? 0x1p-7 : 0); }

    Exec& exec;
    Case c;
    Routing routing;
    Tensor ids, offsets, token, position, middle, x, w1, w1_transposed, h, scale;
};

constexpr Case kCases[] = {{1, 1, 2, 1, 1, Dtype::f32},    {7, 2, 3, 5, 3, Dtype::f32},    {90, 2, 5, 17, 33, Dtype::f32},
                           {400, 1, 2, 19, 7, Dtype::f32}, {33, 3, 31, 16, 8, Dtype::f32}, {60, 2, 4, 24, 40, Dtype::bf16}};

// With enough rows for large tiles (engine/kernels/tile_product.cuh) where the device takes them.
std::vector<Case> cases(const Exec& exec) {
    std::vector<Case> all(std::begin(kCases), std::end(kCases));
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) all.push_back({exec.device.kind == DeviceKind::cuda ? 6500 : 200, 2, 3, 140, 36, dtype});
    // With experts whose rows the gradient takes in parts, of 1,024, and more of the first one's before the micro-shard.
    all.push_back({8000, 1, 3, 6, 5, Dtype::f32});
    return all;
}

std::size_t at(Size row, Size columns, Size column) { return static_cast<std::size_t>(row * columns + column); }

}  // namespace

TEST_CASE_DEVICES("the gathering product multiplies each routed row with its expert's matrix") {
    for (const Case& c : cases(exec)) {
        Data d(exec, c);
        for (Layout layout : {Layout::normal, Layout::transposed}) {
            const Tensor& w = layout == Layout::normal ? d.w1 : d.w1_transposed;
            Tensor out(exec, {c.N * c.K, c.G}, c.dtype);
            visit(exec, c.dtype, [&]<class D, class T>(On<D, T>) {
                kernels::grouped_gather_product<D, T>(exec, out.rows<T>(), d.x.rows<T>(), w.rows<T>(), layout, d.groups());
            });
            auto x = to_host<double>(exec, d.x), b = to_host<double>(exec, w);
            std::vector<double> expected(static_cast<std::size_t>(c.N * c.K * c.G));
            for (Size i = 0; i < c.N * c.K; ++i) {
                Size e = d.routing.ids[static_cast<std::size_t>(i)], r = d.routing.position[static_cast<std::size_t>(i)];
                for (Size g = 0; g < c.G; ++g) {
                    for (Size k = 0; k < c.C; ++k) {
                        double factor = layout == Layout::normal ? b[at(e * c.C + k, c.G, g)] : b[at(e * c.G + g, c.C, k)];
                        expected[at(r, c.G, g)] += x[at(i / c.K, c.C, k)] * factor;
                    }
                }
            }
            CHECK(tests::relative_error(to_host<double>(exec, out), expected) <= d.bound(c.C));
        }
    }
}

TEST_CASE_DEVICES("the combining product adds each token's experts, scaled or not, set or added") {
    for (const Case& c : cases(exec)) {
        Data d(exec, c);
        for (bool variant : {false, true}) {
            // Once normal, set and scaled; once transposed, added and unscaled.
            const Tensor& w = variant ? d.w1 : d.w1_transposed;
            Tensor y = d.values({c.N, c.C}, 6);
            auto expected = variant ? to_host<double>(exec, y) : std::vector<double>(static_cast<std::size_t>(c.N * c.C), 0.0);
            visit(exec, c.dtype, [&]<class D, class T>(On<D, T>) {
                kernels::grouped_combine_product<D, T>(exec, y.rows<T>(), variant, d.h.rows<T>(),
                                                       variant ? nullptr : d.scale.data<Sum<T>>(), w.rows<T>(),
                                                       variant ? Layout::transposed : Layout::normal, d.groups());
            });
            auto h = to_host<double>(exec, d.h), b = to_host<double>(exec, w), scale = to_host<double>(exec, d.scale);
            for (Size i = 0; i < c.N * c.K; ++i) {
                Size e = d.routing.ids[static_cast<std::size_t>(i)], r = d.routing.position[static_cast<std::size_t>(i)];
                for (Size k = 0; k < c.C; ++k) {
                    double sum = 0;
                    for (Size g = 0; g < c.G; ++g) {
                        sum += h[at(r, c.G, g)] * (variant ? b[at(e * c.C + k, c.G, g)] : b[at(e * c.G + g, c.C, k)]);
                    }
                    expected[at(i / c.K, c.C, k)] += sum * (variant ? 1 : scale[static_cast<std::size_t>(r)]);
                }
            }
            // In bf16 scaled rows are rounded at most once (2⁻⁹ of a row each, of random signs), results once.
            CHECK(tests::relative_error(to_host<double>(exec, y), expected) <= d.bound(c.G * c.K));
        }
    }
}

TEST_CASE_DEVICES("an expert's weight gradient sums its own rows of one micro-shard, and is zero without rows") {
    for (const Case& c : cases(exec)) {
        Data d(exec, c);
        for (bool gather_left : {true, false}) {
            // The second half of the tokens: rows [middle, next offset).
            Size A = gather_left ? c.C : c.G, B = gather_left ? c.G : c.C;
            const Tensor &left = gather_left ? d.x : d.h, &right = gather_left ? d.h : d.x;
            Tensor db = from_host(exec, {c.E * A, B}, Dtype::f32, tests::random_values(c.E * A * B, 7));
            auto expected = gather_left ? std::vector<double>(static_cast<std::size_t>(c.E * A * B), 0.0) : to_host<double>(exec, db);
            visit(exec, c.dtype, [&]<class D, class T>(On<D, T>) {
                kernels::grouped_weight_gradient<D, T>(exec, db.rows<Sum<T>>(), !gather_left, left.rows<T>(), right.rows<T>(), gather_left,
                                                       d.scale.data<Sum<T>>(), d.middle.data<std::int32_t>(),
                                                       d.offsets.data<std::int32_t>() + 1, d.groups());
            });
            auto x = to_host<double>(exec, d.x), h = to_host<double>(exec, d.h), scale = to_host<double>(exec, d.scale);
            for (Size e = 0; e < c.E; ++e) {
                for (Size r = d.routing.middle[static_cast<std::size_t>(e)]; r < d.routing.offsets[static_cast<std::size_t>(e + 1)]; ++r) {
                    Size n = d.routing.token[static_cast<std::size_t>(r)];
                    for (Size k = 0; k < c.C; ++k) {
                        for (Size g = 0; g < c.G; ++g) {
                            double term = x[at(n, c.C, k)] * h[at(r, c.G, g)] * scale[static_cast<std::size_t>(r)];
                            expected[gather_left ? at(e * A + k, B, g) : at(e * A + g, B, k)] += term;
                        }
                    }
                }
            }
            // Sums over at most N·K rows in fp32.
            CHECK(tests::relative_error(to_host<double>(exec, db), expected) <= d.bound(c.N * c.K));
        }
    }
}
