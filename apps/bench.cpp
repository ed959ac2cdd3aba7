#include "apps/bench_cases.h"
#include "apps/bench_comm.h"
#include "apps/command.h"
#include "apps/elapsed.h"
#include "apps/option_checks.h"
#include "engine/base/cpu_level.h"
#include "engine/base/error.h"
#include "engine/base/philox.h"
#include "engine/base/threads.h"
#include "engine/base/visit.h"
#include "engine/cuda/cublas.h"
#include "engine/cuda/runtime.h"
#include "engine/kernels/ceilings.h"
#include "engine/memory/pool.h"
#include "engine/tensor/transfer.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

namespace apps {

using namespace engine;

Tensor random_tensor(Exec& exec, Shape shape, Dtype dtype, std::uint64_t salt) {
    // A prime number of values, repeated: filling must not take longer than timing.
    constexpr std::size_t kValues = 65521;
    std::vector<float> some(kValues), all(static_cast<std::size_t>(shape.elements()));
    for (std::size_t i = 0; i < kValues; ++i) some[i] = static_cast<float>(2.0 * to_uniform(random_bits(salt, 0, 77, i)) - 1.0);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = some[i % kValues];
    return from_host(exec, shape, dtype, all);
}

namespace {

struct Ceilings {
    double flops_f32, flops_bf16, copy, read, rows;  // a second; bytes read + written a second; 0: not known
};

struct Measurement {
    double least, median;  // seconds
    long calls;
};

// Seconds a call. A GPU is waited for once in ten calls, so that its own time counts and not the host's.
double seconds_of(const Exec& exec, const std::function<void()>& run) {
    int calls = exec.device.kind == DeviceKind::cuda ? 10 : 1;
    auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) run();
    if (exec.device.kind == DeviceKind::cuda) cuda::synchronize(exec.stream);
    return seconds_since(start) / calls;
}

// Two warm-ups, then at least five calls and `budget` seconds.
Measurement measure(const Exec& exec, const std::function<void()>& run, double budget) {
    seconds_of(exec, run);
    seconds_of(exec, run);
    std::vector<double> times;
    for (double spent = 0; times.size() < 5 || spent < budget; spent += times.back()) times.push_back(seconds_of(exec, run));
    std::sort(times.begin(), times.end());
    return {times.front(), times[times.size() / 2], static_cast<long>(times.size())};
}

// cuBLAS at a shape that fills a large GPU.
double cublas_flops(Exec& exec) {
    constexpr Size kSide = 8192;
    if (!cuda::has_cublas()) return 0;
    Tensor a = random_tensor(exec, {kSide, kSide}, Dtype::bf16, 1), b = random_tensor(exec, {kSide, kSide}, Dtype::bf16, 2),
           c(exec, {kSide, kSide}, Dtype::bf16);
    auto run = [&] { cuda::cublas_product(exec.stream, c.data<bf16>(), a.data<bf16>(), b.data<bf16>(), kSide, kSide, kSide); };
    return 2.0 * kSide * kSide * kSide / measure(exec, run, 0.5).least;
}

Ceilings measure_ceilings(Exec& exec) {
    constexpr Size kRounds = 500'000, kElements = Size{1} << 26, kRow = 256;
    Ceilings result{};
    Tensor x = random_tensor(exec, {kElements}, Dtype::f32, 1), y(exec, {kElements}, Dtype::f32), sink(exec, {1}, Dtype::f32);
    visit_device(exec, [&]<class D>(D) {
        if constexpr (!std::is_same_v<D, Simt>) {
            double flops = 0;
            auto rate = [&](auto run, double work) { return work / measure(exec, run, 0.1).least; };
            Size rounds = exec.device.kind == DeviceKind::cuda ? kRounds / 100 : kRounds;
            auto f32 = measure(
                exec, [&] { flops = kernels::multiply_add_loop<D, float>(exec, sink.data<float>(), rounds); }, 0.1);
            result.flops_f32 = flops / f32.least;
            if constexpr (std::is_same_v<D, Cuda>) {
                result.flops_bf16 = cublas_flops(exec);
            } else {
                auto bf = measure(
                    exec, [&] { flops = kernels::multiply_add_loop<D, bf16>(exec, sink.data<float>(), rounds); }, 0.1);
                result.flops_bf16 = flops / bf.least;
            }
            result.read = rate([&] { kernels::read_loop<D>(exec, sink.data<float>(), x.data<float>(), kElements); }, 4.0 * kElements);
            result.copy = rate([&] { kernels::copy_loop<D>(exec, y.data<float>(), x.data<float>(), kElements); }, 8.0 * kElements);
            result.rows = rate([&] { kernels::read_rows_loop<D>(exec, sink.data<float>(), x.data<float>(), kElements / kRow, kRow); },
                               4.0 * kElements);
        }
    });
    return result;
}

struct Row {
    const BenchCase* what;
    Measurement time;
    double fraction;  // of the ceiling that the case meets first
};

nlohmann::ordered_json describe(const Exec& exec, const Ceilings& ceilings, const std::vector<Row>& rows) {
    nlohmann::ordered_json out;
    out["device"] = device_name(exec.device);
    out["cpu_isa"] = cpu_isa();
    out["threads"] = threads();
    out["ceilings"] = {{"float32_flops", ceilings.flops_f32},
                       {"bfloat16_flops", ceilings.flops_bf16},
                       {"copy_bytes", ceilings.copy},
                       {"read_bytes", ceilings.read},
                       {"random_row_bytes", ceilings.rows}};
    out["results"] = nlohmann::ordered_json::array();
    for (const Row& row : rows) {
        out["results"].push_back({{"kernel", row.what->kernel},
                                  {"shape", row.what->shape},
                                  {"dtype", dtype_name(row.what->dtype)},
                                  {"seconds_min", row.time.least},
                                  {"seconds_median", row.time.median},
                                  {"calls", row.time.calls},
                                  {"flops", row.what->flops},
                                  {"bytes", row.what->bytes},
                                  {"row_bytes", row.what->row_bytes},
                                  {"fraction", row.fraction}});
    }
    return out;
}

void print_head(const Exec& exec, const Ceilings& c) {
    std::string device =
        exec.device.kind == DeviceKind::cpu ? fmt::format("{} threads, {}", threads(), cpu_isa()) : device_name(exec.device);
    std::cout << fmt::format(
        "{}; measured ceilings: {:.0f} GFLOP/s float32, {:.0f} GFLOP/s bfloat16, copy {:.1f} GB/s, read {:.1f} GB/s, random rows of "
        "1 KB {:.1f} GB/s\n\n"
        "{:<14} {:<42} {:<9} {:>10} {:>10} {:>8} {:>8} {:>8}\n",
        device, c.flops_f32 * 1e-9, c.flops_bf16 * 1e-9, c.copy * 1e-9, c.read * 1e-9, c.rows * 1e-9, "kernel", "shape", "dtype", "ms min",
        "ms median", "GB/s", "TFLOP/s", "ceiling");
}

void print_row(const Row& row) {
    std::cout << fmt::format("{:<14} {:<42} {:<9} {:>10.3f} {:>10.3f} {:>8.1f} {:>8.3f} {:>6.0f} %", row.what->kernel, row.what->shape,
                             dtype_name(row.what->dtype), row.time.least * 1e3, row.time.median * 1e3,
                             (row.what->bytes + row.what->row_bytes) / row.time.least * 1e-9, row.what->flops / row.time.least * 1e-12,
                             100 * row.fraction)
              << std::endl;
}

struct BenchOptions {
    std::vector<std::string> kernels;
    std::string dtype, device = "cpu";
    int threads = 0;
    double seconds = 0.3;
    bool as_json = false;
};

std::vector<BenchCase> chosen_cases(const BenchOptions& options) {
    std::vector<BenchCase> all, chosen;
    for (auto list : {product_cases(), kernel_cases(), rows_cases(), layer_cases(), step_cases()})
        all.insert(all.end(), list.begin(), list.end());
    std::vector<std::string> names;
    for (const BenchCase& one : all) {
        if (names.empty() || names.back() != one.kernel) names.push_back(one.kernel);
        bool named =
            options.kernels.empty() || std::find(options.kernels.begin(), options.kernels.end(), one.kernel) != options.kernels.end();
        if (named && (options.dtype.empty() || options.dtype == dtype_name(one.dtype))) chosen.push_back(one);
    }
    for (const std::string& wanted : options.kernels) {
        if (std::find(names.begin(), names.end(), wanted) != names.end()) continue;
        throw UsageError(fmt::format("[bench] unknown kernel: got {}, expected one of {}", wanted, fmt::join(names, ", ")));
    }
    return chosen;
}

int run_bench(const BenchOptions& options) {
    std::vector<BenchCase> cases = chosen_cases(options);
    if (options.threads > 0) set_threads(options.threads);
    Device device = parse_device(options.device);
    if (device.kind == DeviceKind::simt) throw UsageError("[bench] simt checks kernels and does not time them; hint: --device cpu or cuda");
    Exec exec{.device = device, .pool = &pool_of(device)};
    if (device.kind == DeviceKind::cuda) exec.stream = cuda::make_stream();
    Ceilings ceilings = measure_ceilings(exec);
    std::vector<Row> rows;
    if (!options.as_json) print_head(exec, ceilings);
    for (const BenchCase& one : cases) {
        Row row{&one, measure(exec, one.prepare(exec), options.seconds), 0};
        double most = one.dtype == Dtype::bf16 ? ceilings.flops_bf16 : ceilings.flops_f32, at_flops = most > 0 ? one.flops / most : 0;
        row.fraction =
            std::max(at_flops, one.bytes / ceilings.copy + (one.row_bytes > 0 ? one.row_bytes / ceilings.rows : 0)) / row.time.least;
        rows.push_back(row);
        if (!options.as_json) print_row(row);
    }
    if (options.as_json) std::cout << describe(exec, ceilings, rows).dump(2) << std::endl;
    return kDone;
}

}  // namespace

std::function<int()> add_bench(CLI::App& app) {
    auto options = std::make_shared<BenchOptions>();
    app.add_option("kernel", options->kernels, "what to time; all by default");
    app.add_option("--dtype", options->dtype, "float32 or bfloat16; both by default")->check(CLI::IsMember({"float32", "bfloat16"}));
    app.add_option("--device", options->device, "cpu, cuda or cuda:N");
    app.add_option("--threads", options->threads, "threads; all by default")->check(between(1, 1024));
    app.add_option("--seconds", options->seconds, "time spent on a case at the least")->check(between(0.0, 60.0));
    app.add_flag("--json", options->as_json, "print one JSON document");
    CLI::App* comm =
        app.add_subcommand("comm", "what ranks say to each other: every collective checked to the last bit, time, bus bandwidth");
    return [options, comm, run_comm = add_bench_comm(*comm)] {
        if (!comm->parsed()) return run_bench(*options);
        if (options->kernels.empty()) return run_comm();
        throw UsageError("[bench] comm stands alone: its options follow it; hint: moegrad bench comm --help");
    };
}

}  // namespace apps
