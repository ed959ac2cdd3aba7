#pragma once
// A split cut into streams that run side by side, window by window, so that a model's memory carries from one window to the next. Nothing
// is shuffled, and a window depends on the step's number alone: going on after a stop needs no state.
#include "data/token_store.h"

namespace data {

// B rows of T tokens and what follows each of them.
struct Window {
    std::int64_t rows = 0, columns = 0;
    std::vector<std::int32_t> ids;      // (B,T)
    std::vector<std::int32_t> targets;  // (B,T): the next token; −1: not scored
    bool restarts = false;              // the streams begin here: memory must be cleared before this window
};

// For training. Of N tokens stream b of B has its own floor(N/B), from b·floor(N/B) on; the N mod B last tokens are in none. A window has T
// tokens and their targets, all from the stream itself, so a stream has W = floor((floor(N/B) − 1)/T) windows; then it starts again.
class TrainingStreams {
  public:
    // The split must outlive the streams. Throws where a stream has no whole window.
    TrainingStreams(const Split& split, std::int64_t batch, std::int64_t context);

    std::int64_t batch() const { return batch_; }
    std::int64_t context() const { return context_; }
    // W: steps before the text starts again.
    std::int64_t windows() const { return windows_; }
    // Step `step` (≥ 0) of streams first … first + count − 1.
    Window at(std::int64_t step, std::int64_t first, std::int64_t count) const;
    Window at(std::int64_t step) const { return at(step, 0, batch_); }

  private:
    const Split* split_;
    std::int64_t batch_, context_, length_, windows_;
};

enum class Protocol {
    whole,  // every token but each stream's first is scored once
    paper   // only windows that are whole and fill all streams, as in the σ-MoE paper's evaluation
};

// For evaluation, once over the split.
//
// `whole`: stream s of S has tokens floor(s·N/S) … floor((s+1)·N/S) − 1, so lengths differ by one at most and N − S tokens are scored. The
// last window may be shorter than T; where a stream has ended, its id is 0 and its target −1.
// `paper`: floor((N − 1)/T) windows of T tokens, each with the token that follows; W = floor(that / S) of them go to each stream in turn,
// the rest is dropped. S·W·T tokens are scored.
class EvaluationStreams {
  public:
    // Throws where a stream would have nothing to score.
    EvaluationStreams(const Split& split, const Tokenizer& tokenizer, std::int64_t streams, std::int64_t context,
                      Protocol protocol = Protocol::whole);

    std::int64_t streams() const { return streams_; }
    std::int64_t windows() const { return windows_; }
    // Targets that are scored, over all windows.
    std::int64_t scored_tokens() const { return scored_; }
    // Of the text that the streams cover, each stream's first token included: the split's bytes for `whole`. Bits per byte are the summed
    // nats / ln 2 over these.
    std::int64_t bytes() const { return bytes_; }
    // Window `index` of windows(), all streams. The first one restarts.
    Window at(std::int64_t index) const;

  private:
    // Stream s holds tokens begin(s) … begin(s) + inputs(s), of which the first inputs(s) are ids and the last inputs(s) are targets.
    std::int64_t begin(std::int64_t stream) const;
    std::int64_t inputs(std::int64_t stream) const;

    const Split* split_;
    std::int64_t streams_, context_;
    Protocol protocol_;
    std::int64_t paper_windows_ = 0, windows_ = 0, scored_ = 0, bytes_ = 0;
};

}  // namespace data
