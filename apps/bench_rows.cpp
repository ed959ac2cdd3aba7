// The kernels behind small cells, at the sizes of product keys: rows of a table that tokens chose at random.
#include "apps/bench_cases.h"
#include "engine/base/error.h"
#include "engine/base/philox.h"
#include "engine/base/visit.h"
#include "engine/tensor/transfer.h"
#include "moe/kernels/slot_sort.h"
#include "moe/kernels/weighted_rows.h"

namespace apps {

using namespace engine;

namespace {

enum class Pass { sort, dots, combine, gradient };

constexpr const char* kNames[] = {"slot_sort", "row_dots", "row_combine", "row_gradient"};

// N tokens choose J of M rows of C.
struct RowsShape {
    Size N, J, M, C;
};

std::vector<std::int32_t> random_ids(const RowsShape& shape) {
    std::vector<std::int32_t> ids(static_cast<std::size_t>(shape.N * shape.J));
    for (std::size_t i = 0; i < ids.size(); ++i) {
        ids[i] = static_cast<std::int32_t>(to_uniform(random_bits(1, 0, 78, i)) * static_cast<float>(shape.M));
        ids[i] = std::min(ids[i], static_cast<std::int32_t>(shape.M - 1));
    }
    return ids;
}

// Least bytes: the chosen rows, as if each were fetched for itself; the gradient is written once, too.
BenchCase rows_case(Pass pass, const RowsShape& shape, Dtype dtype) {
    auto [N, J, M, C] = shape;
    double row_bytes = static_cast<double>(C * element_bytes(dtype)), count = static_cast<double>(N * J);
    std::string sizes = pass == Pass::sort ? fmt::format("R{} M{}", N * J, M) : fmt::format("N{} J{} M{} C{}", N, J, M, C);
    BenchCase result{kNames[static_cast<int>(pass)], sizes, dtype, 2 * count * static_cast<double>(C), 0, nullptr};
    if (pass == Pass::sort) {
        result.flops = 0;
        result.bytes = 8 * count + 4 * static_cast<double>(M);
    } else {
        result.row_bytes = count * row_bytes;
        if (pass == Pass::gradient) result.bytes = static_cast<double>(M * C * element_bytes(sum_dtype(dtype)));
    }
    result.prepare = [=](Exec& exec) -> std::function<void()> {
        Dtype wide = sum_dtype(dtype);
        Tensor table = random_tensor(exec, {M, C}, dtype, 1), x = random_tensor(exec, {N, C}, dtype, 2), y(exec, {N, C}, dtype);
        Tensor w = random_tensor(exec, {N, J}, wide, 3), gradient(exec, {pass == Pass::gradient ? M : 1, C}, wide);
        Tensor ids(exec, {N, J}, Dtype::i32), offsets(exec, {M + 1}, Dtype::i32), order(exec, {N * J}, Dtype::i32);
        copy_from_host(exec, ids, random_ids(shape));
        auto sort = [=, &exec] {
            visit_device(exec, [&]<class D>(D) {
                moe::kernels::slot_sort<D>(exec, offsets.data<std::int32_t>(), order.data<std::int32_t>(), ids.data<std::int32_t>(), N * J,
                                           M);
            });
        };
        sort();
        if (pass == Pass::sort) return sort;
        moe::kernels::RowChoices choices{N, J, M, ids.data<std::int32_t>(), offsets.data<std::int32_t>(), order.data<std::int32_t>()};
        return [=, &exec] {
            (void)ids, (void)offsets, (void)order;  // choices points into them
            visit(exec, dtype, [&]<class D, class T>(On<D, T>) {
                using S = Sum<T>;
                if (pass == Pass::dots) return moe::kernels::row_dots<D, T>(exec, w.rows<S>(), x.rows<T>(), table.rows<T>(), choices);
                if (pass == Pass::combine) {
                    return moe::kernels::row_combine<D, T>(exec, y.rows<T>(), false, w.rows<S>(), table.rows<T>(), choices);
                }
                moe::kernels::row_gradient<D, T>(exec, gradient.rows<S>(), false, w.rows<S>(), x.rows<T>(), choices);
            });
        };
    };
    return result;
}

}  // namespace

std::vector<BenchCase> rows_cases() {
    // PEER's and PKM's, 256² cells and 128 choices; and a table that no cache holds, of which few rows are read.
    const RowsShape peer{4096, 128, 65536, 256}, pkm{4096, 128, 65536, 512}, large{1024, 128, 1048576, 256};
    std::vector<BenchCase> cases{rows_case(Pass::sort, peer, Dtype::f32), rows_case(Pass::sort, large, Dtype::f32)};
    for (Pass pass : {Pass::dots, Pass::combine, Pass::gradient}) {
        for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
            for (const RowsShape& shape : {peer, pkm, large}) cases.push_back(rows_case(pass, shape, dtype));
        }
    }
    return cases;
}

}  // namespace apps
