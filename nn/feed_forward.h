#pragma once
#include "engine/autograd/tape.h"
#include "nn/module.h"

#include <memory>
#include <string>
#include <vector>

namespace nn {

// A term of the objective beside the cross-entropy. The operation that made it seeds its own gradient with `weight`.
struct NamedLoss {
    std::string name;
    Tensor value;  // (1), unweighted, over the whole pass
    double weight = 0;
};

// Which cells each row used: ids (N,K) int32 by falling score, gates (N,K); for heads of product keys (N,H,K). Undefined for layers
// without a choice.
struct Routing {
    Tensor ids;
    Tensor gates;
    Tensor logits_NE;
    Size cells = 0;  // ids are below this; 0: as many as logits_NE has columns
    // Where experts choose, the same by expert: the rows of the whole pass, all ranks, that each took, and their gates, (E,seats). Then ids
    // and gates are (N,E), with id −1 and gate 0 for an expert that did not take the row.
    Tensor rows_ES = {}, gates_ES = {};
};

struct FeedForwardResult {
    Var y_NC;
    std::vector<NamedLoss> losses;
    Routing routing;
};

// What a feed-forward may look at beside its rows.
struct RowContext {
    Tensor token_ids_N;        // int32; undefined where there are none
    Size sequence_length = 0;  // T: rows are B sequences of T
    double loss_scale = 1;     // what balance losses' weights are multiplied with: 1 / train.accumulate
};

// The socket that dense and sparse layers plug into.
class FeedForward : public Module {
  public:
    virtual FeedForwardResult forward(engine::Tape& tape, const Var& x_NC, const RowContext& context) = 0;
    // Rows are not independent: x is (B,T,C) and not just rows.
    virtual bool mixes_positions() const { return false; }
    // T of a sequence is at most this; 0: any.
    virtual Size most_positions() const { return 0; }
    // Needs RowContext::token_ids_N.
    virtual bool reads_token_ids() const { return false; }
    // Why rows cannot be had one after another, as decoding asks for them; empty where they can.
    virtual std::string refuses_decoding() const { return ""; }
    // 2 per multiply-add, per row, forward; `selector` is the part spent on choosing.
    struct Flops {
        double forward = 0;
        double selector = 0;
    };
    virtual Flops flops_per_row() const = 0;
    // Parameters that one row uses.
    virtual Size active_parameters() const = 0;
};

// Where a layer stands: what initialisation and the random counters need.
struct LayerPlace {
    Size channels = 0;
    int layer = 0;                                // index in the model; random sites are layer · 16 + purpose
    int depth = 1;                                // number of layers, for initialisations that depend on it
    Parameter* values = nullptr;                  // a table of values that another layer owns, for memory-plus; null: the layer has its own
    std::vector<std::int64_t> token_counts = {};  // how often each token id stands in the text, where that is known
};

}  // namespace nn
