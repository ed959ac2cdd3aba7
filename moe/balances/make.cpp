#include "moe/balances/make.h"

namespace moe {

std::unique_ptr<BalanceLoss> make_balance(const Method& method, const nn::OptionTable& options, nn::Size experts) {
    switch (method.balance) {
        case Balance::none:
        case Balance::exact:       // nothing to train
        case Balance::query_norm:  // a part of product keys, not a loss
            return nullptr;
        case Balance::entropy:
            return std::make_unique<EntropyLoss>(options);
        case Balance::fraction_mean:
            return std::make_unique<FractionMeanLoss>(options, experts, method.extras.balance_scale);
        case Balance::gate_variation:
            return std::make_unique<GateVariationLoss>(options, experts);
        case Balance::sequence_and_bias:
            return std::make_unique<SequenceLoss>(options);
        case Balance::sinkhorn:
        case Balance::by_table:
            return nullptr;
    }
    return nullptr;
}

}  // namespace moe
