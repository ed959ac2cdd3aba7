#pragma once
#include "moe/balances/balance.h"
#include "moe/methods/table.h"

namespace moe {

// The losses of a row of the table; null where it has none.
std::unique_ptr<BalanceLoss> make_balance(const Method& method, const nn::OptionTable& options, nn::Size experts);

}  // namespace moe
