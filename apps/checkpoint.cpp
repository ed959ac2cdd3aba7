#include "apps/checkpoint.h"

#include "apps/optimizer_files.h"
#include "engine/base/error.h"
#include "engine/comm/agreement.h"
#include "engine/io/atomic_file.h"
#include "engine/io/manifest.h"
#include "engine/io/safetensors.h"
#include "engine/tensor/transfer.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace apps {

using namespace engine;

namespace fs = std::filesystem;

namespace {

constexpr const char* kModel = "model.safetensors";
constexpr const char* kState = "state.json";

constexpr Size kWindow = Size{1} << 20;

// Tensors of all ranks, a window at a time: f(rank, first, values) on the first rank. No device has room for all.
template <class F>
void gather_windows(Exec& exec, const Tensor& flat, Size window, F&& f) {
    Communicator& communicator = *exec.communicator;
    Size elements = flat.size(0);
    for (Size first = 0; first < elements; first += window) {
        Size count = std::min(window, elements - first);
        Tensor all(exec, {communicator.size(), count}, flat.dtype());
        communicator.all_gather(exec, all, flat.view_at(first, {1, count}, count));
        for (int rank = 0; rank < communicator.size() && communicator.rank() == 0; ++rank) f(rank, first, all.row_range(rank, 1));
    }
}

// Master values on the first rank, whole whatever ranks hold of them: what it has itself, or a copy on the host.
class WholeMaster {
  public:
    // Collective.
    WholeMaster(Exec& exec, const nn::ParameterStore& store) : exec_(exec), store_(store) {
        if (store.master_is_cut()) gather_cut();
        for (const nn::ParameterStore::Place& place : store.places()) {
            if (place.sharers > 1) gather_shared(place);
        }
    }
    void add_to(io::SafetensorsWriter& writer, const nn::ParameterStore::Place& place) const {
        const std::string& name = place.parameter->name;
        if (auto shared = shared_.find(name); shared != shared_.end()) return writer.add(name, host_, shared->second);
        if (cut_.defined()) return writer.add(name, host_, store_.view(cut_, place));
        writer.add(name, exec_, store_.view(store_.master(), place));
    }

  private:
    bool is_first() const { return exec_.communicator->rank() == 0; }
    // The parts of a cut, end to end.
    void gather_cut() {
        Size part = store_.part_of_cut();
        if (is_first()) cut_ = Tensor(host_, {part * rank_count(exec_)}, store_.master().dtype());
        gather_windows(exec_, store_.master().view_at(0, {part}, part), kWindow, [&](int rank, Size first, const Tensor& values) {
            copy_from_host(host_, cut_.view_at(rank * part + first, values.shape(), values.size(1)), to_host<float>(exec_, values));
        });
    }
    // The experts, or columns, of the first group's ranks, in order.
    void gather_shared(const nn::ParameterStore::Place& place) {
        Tensor whole;
        if (is_first()) {
            whole = Tensor(host_, place.parameter->shape, store_.master().dtype());
            shared_[place.parameter->name] = whole;
            whole = whole.reshaped({whole.shape().rows(), whole.shape().columns()});
        }
        Size stride = store_.view(store_.gradient(), place).row_stride(), rows = place.shape.rows(), columns = place.shape.columns();
        Tensor flat = store_.master().view_at(store_.index_in_master(place.offset), {rows * stride}, rows * stride);
        gather_windows(exec_, flat, std::max<Size>(1, kWindow / stride) * stride, [&](int rank, Size first, const Tensor& values) {
            if (rank >= place.sharers) return;
            bool by_column = place.parameter->split == nn::Split::by_column;
            Tensor some = values.view_at(0, {values.size(1) / stride, columns}, stride);
            Tensor to = whole.row_range((by_column ? 0 : rank * rows) + first / stride, some.size(0));
            copy_from_host(host_, to.columns(by_column ? rank * columns : 0, columns), to_host<double>(exec_, some));
        });
    }

    Exec& exec_;
    Exec host_;
    const nn::ParameterStore& store_;
    Tensor cut_;
    std::map<std::string, Tensor> shared_;
};

void write_model(Exec& exec, const fs::path& path, const nn::ParameterStore& store, const WholeMaster& master) {
    io::SafetensorsWriter model;
    for (const nn::ParameterStore::Place& place : store.places()) master.add_to(model, place);
    for (const nn::State* each : store.states()) model.add(each->name, exec, each->value);
    model.write(path);
}

void write_state(const fs::path& path, const TrainingState& state) {
    nlohmann::ordered_json json{{"step", state.step},
                                {"tokens", state.tokens},
                                {"seconds", state.seconds},
                                {"schedule_steps", state.schedule_steps},
                                {"data", state.data}};
    io::write_file(path, json.dump(2) + "\n");
}

std::set<std::string> expected_names(const nn::ParameterStore& store) {
    std::set<std::string> names;
    for (const nn::ParameterStore::Place& place : store.places()) names.insert(place.parameter->name);
    for (const nn::State* state : store.states()) names.insert(state->name);
    return names;
}

void load(Exec& exec, const io::SafetensorsFile& file, nn::State& state) {
    copy(exec, state.value, file.read_tensor(exec, state.name, state.dtype, state.shape));
}

void load(Exec& exec, const io::SafetensorsFile& file, nn::ParameterStore& store, const nn::ParameterStore::Place& place) {
    const nn::Parameter& parameter = *place.parameter;
    store.set_master(exec, place, file.read_tensor(exec, parameter.name, store.master().dtype(), parameter.shape));
}

}  // namespace

void save_checkpoint(Exec& exec, const fs::path& folder, const nn::ParameterStore& store, const std::vector<nn::ModelMemory>& memories,
                     const TrainingState& state) {
    int rank = rank_of(exec);
    std::optional<io::AtomicFolder> target;
    fs::path partial = folder.string() + std::string(io::kPartial);
    agreed(exec, [&] {
        if (rank == 0) target.emplace(folder);
    });
    WholeMaster master(exec, store);
    agreed(exec, [&] {
        write_optimizer_file(exec, optimizer_file(partial, rank, rank_count(exec)), store, memories);
        if (rank > 0) return;
        write_model(exec, partial / kModel, store, master);
        write_state(partial / kState, state);
    });
    agreed(exec, [&] {
        if (rank > 0) return;
        io::write_manifest(partial);
        target->commit();
    });
}

TrainingState read_state(Exec& exec, const fs::path& checkpoint) {
    agreed(exec, [&] {
        if (exec.communicator == nullptr || exec.communicator->rank() == 0) io::verify_manifest(checkpoint);
    });
    fs::path file = checkpoint / kState;
    nlohmann::json json = nlohmann::json::parse(io::read_file(file), nullptr, false);
    try {
        return {json.at("step"), json.at("tokens"), json.at("seconds"), json.at("schedule_steps"), json.at("data")};
    } catch (const nlohmann::json::exception& error) { fail("checkpoint", "{} is not understood: {}", file.string(), error.what()); }
}

void load_weights(Exec& exec, const fs::path& checkpoint, nn::ParameterStore& store) {
    io::SafetensorsFile file = io::SafetensorsFile::open(checkpoint / kModel);
    std::set<std::string> expected = expected_names(store);
    for (const std::string& name : file.names()) {
        expect(expected.contains(name), "checkpoint", "{} holds a tensor that the model does not have: {}", file.path(), name);
    }
    for (const nn::ParameterStore::Place& place : store.places()) load(exec, file, store, place);
    for (nn::State* state : store.states()) load(exec, file, *state);
    store.share_values(exec);
}

void load_progress(Exec& exec, const fs::path& checkpoint, nn::ParameterStore& store, std::vector<nn::ModelMemory>& memories) {
    OptimizerFiles files(checkpoint);
    files.load_moments(exec, store);
    files.load_memories(exec, store.dtype(), memories);
}

std::string load_matching_weights(Exec& exec, const fs::path& checkpoint, nn::ParameterStore& store) {
    io::SafetensorsFile file = io::SafetensorsFile::open(checkpoint / kModel);
    int taken = 0, fresh = 0;
    auto has = [&](const std::string& name, const Shape& shape) {
        bool same = file.contains(name) && file.shape(name) == shape;
        (same ? taken : fresh) += 1;
        return same;
    };
    for (const nn::ParameterStore::Place& place : store.places()) {
        if (has(place.parameter->name, place.parameter->shape)) load(exec, file, store, place);
    }
    for (nn::State* state : store.states()) {
        if (has(state->name, state->shape)) load(exec, file, *state);
    }
    store.share_values(exec);
    expect(taken > 0, "train", "nothing in {} fits this model: no tensor has the same name and shape", file.path());
    return fmt::format("took {} tensors from {}; {} start fresh", taken, file.path(), fresh);
}

}  // namespace apps
