#include "moe/selectors/keys.h"

#include "moe/layer_options.h"
#include "moe/ops/key_scores.h"
#include "moe/ops/top_ids.h"

namespace moe {

using namespace engine;

namespace {

kernels::Reduce read_reduce(const nn::OptionTable& options) {
    std::string word = options.word("reduce", "mean", {"mean", "sum", "mean-abs"});
    return word == "mean" ? kernels::Reduce::mean : word == "sum" ? kernels::Reduce::sum : kernels::Reduce::mean_abs;
}

}  // namespace

KeySelector::KeySelector(const ExpertsPlace& at, const nn::OptionTable& options)
    : channels_(at.place.channels), experts_(at.experts), cells_(at.cells), k_(read_k(options, at.experts)) {}

Selection MeanKeys::select(Tape& tape, const Var& x_NC, const Var& w1_ECG, const nn::RowContext&) {
    if (!scored_) return {ops::mean_key_picks(tape.exec(), x_NC.value(), w1_ECG.value(), k_)};
    auto share = std::make_shared<ops::WeightShare>();
    Var scores_NE = ops::mean_key_scores(tape, x_NC, w1_ECG, share);
    return {ops::top_ids(tape.exec(), scores_NE.value(), k_), scores_NE, share};
}

CellKeys::CellKeys(const ExpertsPlace& at, const nn::OptionTable& options)
    : KeySelector(at, options),
      reduce_(read_reduce(options)),
      activation_(options.word("on", "pre", {"pre", "post"}) == "post" ? read_activation(options) : engine::kernels::Activation::identity) {
}

Selection CellKeys::select(Tape& tape, const Var& x_NC, const Var& w1_ECG, const nn::RowContext&) {
    return {ops::cell_picks(tape.exec(), x_NC.value(), w1_ECG.value(), k_, reduce_, activation_)};
}

}  // namespace moe
