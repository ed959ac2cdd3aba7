#include "apps/checkpoint.h"

#include "apps/optimizer_files.h"
#include "engine/base/error.h"
#include "engine/comm/agreement.h"
#include "engine/io/atomic_file.h"
#include "engine/io/manifest.h"
#include "engine/io/safetensors.h"
#include "engine/tensor/transfer.h"

#include <algorithm>
#include <optional>
#include <set>

namespace apps {

using namespace engine;

namespace fs = std::filesystem;

namespace {

constexpr const char* kModel = "model.safetensors";
constexpr const char* kState = "state.json";

// Every parameter's master values as one flat buffer on the first rank. Where ranks hold parts of them, the others send theirs, a window at
// a time, into host memory: no device has room for all.
Tensor whole_master(Exec& exec, const nn::ParameterStore& store) {
    constexpr Size kWindow = Size{1} << 20;
    const Tensor& own = store.master();
    if (own.size(0) == store.flat_elements()) return own;
    Communicator& communicator = *exec.communicator;
    Size part = own.size(0);
    Exec host;
    Tensor whole = communicator.rank() == 0 ? Tensor(host, {communicator.size() * part}, own.dtype()) : Tensor();
    for (Size first = 0; first < part; first += kWindow) {
        Size count = std::min(kWindow, part - first);
        Tensor all(exec, {communicator.size(), count}, own.dtype());
        communicator.all_gather(exec, all, own.view_at(first, {1, count}, count));
        if (communicator.rank() > 0) continue;
        std::vector<float> values = to_host<float>(exec, all);
        for (int rank = 0; rank < communicator.size(); ++rank) {
            std::copy_n(values.begin() + rank * count, count, whole.data<float>() + rank * part + first);
        }
    }
    return whole;
}

void write_model(Exec& exec, const fs::path& path, const nn::ParameterStore& store, const Tensor& master) {
    Exec host;
    io::SafetensorsWriter model;
    for (const nn::ParameterStore::Place& place : store.places()) {
        model.add(place.parameter->name, master.device() == exec.device ? exec : host, store.view(master, place));
    }
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
    int rank = exec.communicator != nullptr ? exec.communicator->rank() : 0;
    std::optional<io::AtomicFolder> target;
    fs::path partial = folder.string() + std::string(io::kPartial);
    agreed(exec, [&] {
        if (rank == 0) target.emplace(folder);
    });
    Tensor master = whole_master(exec, store);
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
