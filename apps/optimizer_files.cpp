#include "apps/optimizer_files.h"

#include "engine/base/error.h"
#include "engine/comm/shares.h"
#include "engine/tensor/transfer.h"

#include <algorithm>

namespace apps {

using namespace engine;
using nn::ParameterStore;
using Range = ParameterStore::Range;

namespace fs = std::filesystem;

namespace {

std::string memory_name(std::size_t pass, std::size_t layer) { return fmt::format("memory.{}.{}", pass, layer); }

// Calls f(value, element): the place's values of a range, and where in it they stand.
template <class F>
void for_values(const ParameterStore& store, const ParameterStore::Place& place, const Range& range, F&& f) {
    Size columns = place.shape.columns(), stride = store.view(store.gradient(), place).row_stride();
    Range values = store.values_of(place, range);
    for (Size i = 0; i < values.elements; ++i) {
        Size value = values.first - place.first_value() + i;
        f(static_cast<std::size_t>(i), static_cast<std::size_t>(place.offset + value / columns * stride + value % columns - range.first));
    }
}

Tensor elements_of(const Tensor& moments, const ParameterStore& store, const Range& range) {
    return moments.view_at(store.index_in_moments(range.first), {range.elements}, range.elements);
}

// Some of a parameter's values in row-major order: a range of all, or columns [column, column + columns) of all rows of `width`.
struct SomeValues {
    Range range;
    Size column, columns, width;

    Size index(Size value) const { return columns == width ? value - range.first : value / width * columns + value % width - column; }
};

SomeValues held_values(const ParameterStore& store, const ParameterStore::Place& place, const Range& part) {
    Size width = place.parameter->shape.columns();
    if (place.shape.columns() == width) return {store.values_of(place, part), 0, width, width};
    return {{0, place.parameter->shape.elements()}, place.column, place.shape.columns(), width};
}

// f(first, count) for each run of values that both have.
template <class F>
void for_shared(const SomeValues& a, const SomeValues& b, F&& f) {
    Range both = overlap(a.range, b.range);
    Size low = std::max(a.column, b.column), high = std::min(a.column + a.columns, b.column + b.columns);
    for (Size row = both.first / a.width; row * a.width < both.end(); ++row) {
        Size first = std::max(both.first, row * a.width + low), end = std::min(both.end(), row * a.width + high);
        if (first < end) f(first, end - first);
    }
}

// What of a parameter a rank's file has: of what ranks share, the first group's ranks write theirs.
Range written_part(const ParameterStore& store, const ParameterStore::Place& place, int rank, int ranks) {
    Range all{place.offset, place.elements};
    if (place.sharers == 1) return overlap(all, store.range_of(rank, ranks));
    return rank < place.sharers ? all : Range{place.offset, 0};
}

// Whole, as it lies in memory; or a copy of the piece without padding.
void add_moment(Exec& exec, io::SafetensorsWriter& writer, const std::string& name, const ParameterStore& store,
                const ParameterStore::Place& place, const Tensor& moments, const Range& part) {
    Range values = store.values_of(place, part);
    if (values.elements == 0) return;
    if (values.elements == place.shape.elements()) {
        Size stride = store.view(store.gradient(), place).row_stride();
        return writer.add(name, exec, moments.view_at(store.index_in_moments(place.offset), place.shape, stride));
    }
    auto add = [&]<class T>(T) {
        std::vector<T> flat = to_host<T>(exec, elements_of(moments, store, part)), piece(static_cast<std::size_t>(values.elements));
        for_values(store, place, part, [&](std::size_t value, std::size_t element) { piece[value] = flat[element]; });
        writer.add(name, Shape{values.elements}, std::move(piece));
    };
    moments.dtype() == Dtype::f64 ? add(double{}) : add(float{});
}

// N, from the names of the files.
int count_files(const fs::path& checkpoint) {
    int count = 0;
    for (const auto& entry : fs::directory_iterator(checkpoint)) {
        std::string name = entry.path().filename().string();
        count += name.starts_with("optimizer-") && name.ends_with(".safetensors") ? 1 : 0;
    }
    return count;
}

}  // namespace

fs::path optimizer_file(const fs::path& checkpoint, int rank, int ranks) {
    return checkpoint / fmt::format("optimizer-{}-of-{}.safetensors", rank, ranks);
}

void write_optimizer_file(Exec& exec, const fs::path& path, const ParameterStore& store, const std::vector<nn::ModelMemory>& memories) {
    io::SafetensorsWriter writer;
    int rank = rank_of(exec);
    for (const ParameterStore::Place& place : store.places()) {
        Range part = written_part(store, place, rank, rank_count(exec));
        add_moment(exec, writer, "moment1." + place.parameter->name, store, place, store.moment1(), part);
        add_moment(exec, writer, "moment2." + place.parameter->name, store, place, store.moment2(), part);
    }
    for (std::size_t pass = 0; pass < memories.size(); ++pass) {
        for (std::size_t layer = 0; layer < memories[pass].layers.size(); ++layer) {
            const Tensor& memory = memories[pass].layers[layer];
            if (memory.defined()) writer.add(memory_name(pass, layer), exec, memory);
        }
    }
    writer.write(path);
}

OptimizerFiles::OptimizerFiles(const fs::path& checkpoint) {
    int count = count_files(checkpoint);
    expect(count > 0, "checkpoint", "{} holds no optimizer-RANK-of-N.safetensors", checkpoint.string());
    for (int rank = 0; rank < count; ++rank) files_.push_back(io::SafetensorsFile::open(optimizer_file(checkpoint, rank, count)));
}

void OptimizerFiles::load_moments(Exec& exec, const ParameterStore& store) const {
    for (const ParameterStore::Place& place : store.places()) {
        load_moment(exec, "moment1." + place.parameter->name, store, place, store.moment1());
        load_moment(exec, "moment2." + place.parameter->name, store, place, store.moment2());
    }
}

void OptimizerFiles::load_moment(Exec& exec, const std::string& name, const ParameterStore& store, const ParameterStore::Place& place,
                                 const Tensor& moments) const {
    const Shape& shape = place.parameter->shape;
    Range part = store.updated({place.offset, place.elements});
    SomeValues wanted = held_values(store, place, part);
    auto load = [&]<class T>(T) {
        std::vector<T> values(static_cast<std::size_t>(store.values_of(place, part).elements)),
            flat(static_cast<std::size_t>(part.elements), T(0));
        Size before = 0, columns_before = 0;
        for (const io::SafetensorsFile& file : files_) {
            if (!file.contains(name)) continue;
            Shape held = file.shape(name);
            SomeValues piece{{before, held.elements()}, 0, shape.columns(), shape.columns()};
            before += held.elements();
            if (held.dims() == 2 && shape.dims() == 2 && held.columns() < shape.columns()) {
                piece = {{0, shape.elements()}, columns_before, held.columns(), shape.columns()};
                columns_before += held.columns();
            }
            std::vector<T> read;
            for_shared(piece, wanted, [&](Size first, Size count) {
                if (read.empty()) read = file.read<T>(name);
                std::copy_n(read.begin() + piece.index(first), count, values.begin() + wanted.index(first));
            });
        }
        expect(before == shape.elements(), "checkpoint", "{} has the wrong size: got {} values in {} files, expected {} for {}", name,
               before, files_.size(), shape.elements(), shape.text());
        for_values(store, place, part, [&](std::size_t value, std::size_t element) { flat[element] = values[value]; });
        if (part.elements > 0) copy_from_host(exec, elements_of(moments, store, part), flat);
    };
    moments.dtype() == Dtype::f64 ? load(double{}) : load(float{});
}

void OptimizerFiles::load_memories(Exec& exec, Dtype dtype, std::vector<nn::ModelMemory>& memories) const {
    for (std::size_t pass = 0; pass < memories.size(); ++pass) {
        memories[pass].clear();
        for (std::size_t layer = 0; files_[0].contains(memory_name(pass, layer)); ++layer) {
            memories[pass].layers.push_back(memory(exec, memory_name(pass, layer), dtype));
        }
    }
}

Tensor OptimizerFiles::memory(Exec& exec, const std::string& name, Dtype dtype) const {
    Size all = 0;
    for (const io::SafetensorsFile& file : files_) all += file.shape(name)[0];
    Shape shape = files_[0].shape(name);
    Shards share = own_share(exec);
    Size a_shard = all / share.total, before = 0;
    Range wanted{share.first * a_shard, share.count * a_shard};
    Tensor result(exec, {wanted.elements, shape[1], shape[2]}, dtype);
    Size sequence = shape[1] * result.row_stride();
    for (const io::SafetensorsFile& file : files_) {
        Range piece{before, file.shape(name)[0]}, shared = overlap(piece, wanted);
        before += piece.elements;
        if (shared.elements == 0) continue;
        Tensor read = file.read_tensor(exec, name, dtype, Shape{piece.elements, shape[1], shape[2]});
        Shape rows{shared.elements, shape[1], shape[2]};
        copy(exec, result.view_at((shared.first - wanted.first) * sequence, rows, result.row_stride()),
             read.view_at((shared.first - piece.first) * sequence, rows, read.row_stride()));
    }
    return result;
}

}  // namespace apps
