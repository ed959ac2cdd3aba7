#include "nn/trainer.h"

#include "engine/base/visit.h"
#include "engine/comm/shares.h"
#include "engine/kernels/elementwise.h"
#include "engine/ops/cross_entropy.h"
#include "engine/tensor/transfer.h"

namespace nn {

using namespace engine;

namespace {

// The aligned tree over values in order.
double tree_sum(const std::vector<double>& values, std::size_t first, std::size_t last) {
    if (last - first == 1) return values[first];
    std::size_t half = 1;
    while (half * 2 < last - first) half *= 2;
    return tree_sum(values, first, first + half) + tree_sum(values, first + half, last);
}

}  // namespace

Trainer::Trainer(Exec& exec, LanguageModel& model, ParameterStore& store, const OptimizerOptions& options, int accumulate,
                 Reduction reduction)
    : exec_(exec),
      model_(model),
      store_(store),
      optimizer_(exec, store, options),
      accumulate_(accumulate),
      sums_(exec, store, reduction, optimizer_.needed_gradients(store)) {
    bool waits = exec.device.kind == DeviceKind::cuda || exec.device.kind == DeviceKind::simt;
    if (waits && exec.sharing.experts > 1) capacities_ = std::make_unique<PairCapacities>();
    if (accumulate > 1) accumulated_ = zeros(exec, {store.flat_elements()}, store.gradient().dtype());
}

void Trainer::begin(std::uint64_t seed, std::int64_t step, double learning_rate) {
    passes_ = 0;
    pass_losses_.clear();
    balance_.clear();
    optimizer_.begin(exec_, seed, step, learning_rate);
}

std::vector<LayerReport> Trainer::pass(const Tensor& ids_BT, const Tensor& targets_BT, ModelMemory& memory, Size step_tokens) {
    step_tokens_ = step_tokens;
    ModelMemory memory_before = capacities_ ? memory : ModelMemory();
    std::vector<State> states_before = capacities_ ? store_.copy_of_states() : std::vector<State>();
    store_.begin_pass();
    Tape tape(exec_);
    ModelResult result = forward(tape, ids_BT, memory);
    Tensor targets_N = targets_BT.reshaped({targets_BT.shape().elements()});
    Tensor shard_sums = ops::cross_entropy(tape, result.logits_NV, targets_N, 1.0 / static_cast<double>(step_tokens));
    result.logits_NV = Var();
    sums_.begin();
    tape.backward([&](std::span<const Var> complete) { sums_.after_node(complete); });
    sums_.finish();

    if (exec_.communicator != nullptr) {
        Size own = shard_sums.shape().elements(), count = rows_of_pass(exec_, own);
        Tensor all(exec_, {count}, shard_sums.dtype());
        gather_shares(exec_, all.reshaped({count, 1}), shard_sums.reshaped({own, 1}));
        shard_sums = all;
    }
    if (capacities_ && !capacities_->fits()) {
        memory = memory_before;
        store_.take_back_states(states_before);
        return pass(ids_BT, targets_BT, memory, step_tokens);
    }
    store_.add_uses(exec_);
    pass_losses_.push_back(shard_sums);
    if (accumulate_ > 1) {
        if (passes_ == 0) {
            copy(exec_, accumulated_, store_.gradient());
        } else {
            visit(exec_, accumulated_.dtype(),
                  [&]<class D, class T>(On<D, T>) { kernels::add_into<D, T>(exec_, accumulated_.rows<T>(), store_.gradient().rows<T>()); });
        }
    }
    ++passes_;
    for (const LayerReport& layer : result.layers) balance_.insert(balance_.end(), layer.losses.begin(), layer.losses.end());
    return std::move(result.layers);
}

ModelResult Trainer::forward(Tape& tape, const Tensor& ids_BT, ModelMemory& memory) {
    if (capacities_) capacities_->begin_pass();
    UsesCapacities scope(exec_, capacities_.get());
    ModelResult result = model_.forward(tape, ids_BT, memory, 1.0 / accumulate_);
    if (capacities_) capacities_->end_forward(exec_);
    return result;
}

void Trainer::finish() {
    expect(passes_ == accumulate_, "trainer", "passes of a step: got {}, expected {}", passes_, accumulate_);
    if (accumulate_ > 1) copy(exec_, store_.gradient(), accumulated_);
    optimizer_.update(exec_, store_);
    store_.advance_states();
}

StepReport Trainer::read() {
    StepReport report;
    for (const Tensor& losses : pass_losses_) {
        std::vector<double> values = to_host<double>(exec_, losses);
        report.loss += tree_sum(values, 0, values.size()) / static_cast<double>(step_tokens_);
    }
    for (const NamedLoss& loss : balance_) report.balance[loss.name] += to_host<double>(exec_, loss.value)[0] / accumulate_;
    report.gradient_norm = optimizer_.gradient_norm(exec_);
    return report;
}

}  // namespace nn
