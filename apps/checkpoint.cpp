#include "apps/checkpoint.h"

#include "engine/base/error.h"
#include "engine/comm/communicator.h"
#include "engine/io/atomic_file.h"
#include "engine/io/manifest.h"
#include "engine/io/safetensors.h"
#include "engine/tensor/transfer.h"

#include <set>

namespace apps {

using namespace engine;

namespace fs = std::filesystem;

namespace {

constexpr const char* kModel = "model.safetensors";
constexpr const char* kOptimizer = "optimizer-0-of-1.safetensors";
constexpr const char* kState = "state.json";

std::string memory_name(std::size_t pass, std::size_t layer) { return fmt::format("memory.{}.{}", pass, layer); }

// All ranks' sequences, in order.
Tensor gathered(Exec& exec, const Tensor& part_BMC) {
    if (exec.communicator == nullptr) return part_BMC;
    Tensor whole(exec, {part_BMC.size(0) * exec.communicator->size(), part_BMC.size(1), part_BMC.size(2)}, part_BMC.dtype());
    exec.communicator->all_gather(exec, whole, part_BMC);
    return whole;
}

void write_files(Exec& exec, const fs::path& folder, const nn::ParameterStore& store, const std::map<std::string, Tensor>& memories,
                 const TrainingState& state) {
    io::AtomicFolder target(folder);
    io::SafetensorsWriter model, optimizer;
    for (const nn::ParameterStore::Place& place : store.places()) {
        const std::string& name = place.parameter->name;
        model.add(name, exec, store.view(store.master(), place));
        optimizer.add("moment1." + name, exec, store.view(store.moment1(), place));
        optimizer.add("moment2." + name, exec, store.view(store.moment2(), place));
    }
    for (const nn::State* each : store.states()) model.add(each->name, exec, each->value);
    for (const auto& [name, memory] : memories) optimizer.add(name, exec, memory);
    model.write(target.partial() / kModel);
    optimizer.write(target.partial() / kOptimizer);
    nlohmann::ordered_json json{{"step", state.step},
                                {"tokens", state.tokens},
                                {"seconds", state.seconds},
                                {"schedule_steps", state.schedule_steps},
                                {"data", state.data}};
    io::write_file(target.partial() / kState, json.dump(2) + "\n");
    io::write_manifest(target.partial());
    target.commit();
}

std::set<std::string> expected_names(const nn::ParameterStore& store) {
    std::set<std::string> names;
    for (const nn::ParameterStore::Place& place : store.places()) names.insert(place.parameter->name);
    for (const nn::State* state : store.states()) names.insert(state->name);
    return names;
}

void load(Exec& exec, const io::SafetensorsFile& file, const std::string& name, const Tensor& to) {
    copy(exec, to, file.read_tensor(exec, name, to.dtype(), to.shape()));
}

}  // namespace

void save_checkpoint(Exec& exec, const fs::path& folder, const nn::ParameterStore& store, const std::vector<nn::ModelMemory>& memories,
                     const TrainingState& state) {
    std::map<std::string, Tensor> whole;
    for (std::size_t pass = 0; pass < memories.size(); ++pass) {
        for (std::size_t layer = 0; layer < memories[pass].layers.size(); ++layer) {
            const Tensor& memory = memories[pass].layers[layer];
            if (memory.defined()) whole[memory_name(pass, layer)] = gathered(exec, memory);
        }
    }
    if (exec.communicator == nullptr || exec.communicator->rank() == 0) write_files(exec, folder, store, whole, state);
}

TrainingState read_state(const fs::path& checkpoint) {
    io::verify_manifest(checkpoint);
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
    for (const nn::ParameterStore::Place& place : store.places()) {
        load(exec, file, place.parameter->name, store.view(store.master(), place));
    }
    for (nn::State* state : store.states()) load(exec, file, state->name, state->value);
    store.refresh_compute(exec);
}

void load_progress(Exec& exec, const fs::path& checkpoint, nn::ParameterStore& store, std::vector<nn::ModelMemory>& memories, int rank,
                   int ranks) {
    io::SafetensorsFile file = io::SafetensorsFile::open(checkpoint / kOptimizer);
    for (const nn::ParameterStore::Place& place : store.places()) {
        load(exec, file, "moment1." + place.parameter->name, store.view(store.moment1(), place));
        load(exec, file, "moment2." + place.parameter->name, store.view(store.moment2(), place));
    }
    for (std::size_t pass = 0; pass < memories.size(); ++pass) {
        memories[pass].clear();
        for (std::size_t layer = 0; file.contains(memory_name(pass, layer)); ++layer) {
            Tensor whole = file.read_tensor(exec, memory_name(pass, layer), store.dtype());
            Size sequences = whole.size(0) / ranks;
            Tensor part(exec, {sequences, whole.size(1), whole.size(2)}, whole.dtype());
            copy(exec, part, whole.view_at(rank * sequences * whole.size(1) * whole.row_stride(), part.shape(), whole.row_stride()));
            memories[pass].layers.push_back(part);
        }
    }
}

std::string load_matching_weights(Exec& exec, const fs::path& checkpoint, nn::ParameterStore& store) {
    io::SafetensorsFile file = io::SafetensorsFile::open(checkpoint / kModel);
    int taken = 0, fresh = 0;
    auto take = [&](const std::string& name, const Tensor& to) {
        bool same = file.contains(name) && file.shape(name) == to.shape();
        if (same) load(exec, file, name, to);
        (same ? taken : fresh) += 1;
    };
    for (const nn::ParameterStore::Place& place : store.places()) take(place.parameter->name, store.view(store.master(), place));
    for (nn::State* state : store.states()) take(state->name, state->value);
    store.refresh_compute(exec);
    expect(taken > 0, "train", "nothing in {} fits this model: no tensor has the same name and shape", file.path());
    return fmt::format("took {} tensors from {}; {} start fresh", taken, file.path(), fresh);
}

}  // namespace apps
