#include "data/streams.h"

#include "data/error.h"

#include <algorithm>

namespace data {
namespace {

// Row `row` of the window: `count` tokens from `first` on and the ones that follow them.
void fill_row(const Split& split, std::int64_t first, std::int64_t count, Window& window, std::int64_t row,
              std::vector<std::int32_t>& tokens) {
    tokens.resize(static_cast<std::size_t>(count) + 1);
    split.read(first, count + 1, tokens.data());
    std::copy_n(tokens.begin(), count, window.ids.begin() + row * window.columns);
    std::copy_n(tokens.begin() + 1, count, window.targets.begin() + row * window.columns);
}

Window empty_window(std::int64_t rows, std::int64_t columns) {
    auto size = static_cast<std::size_t>(rows * columns);
    return {rows, columns, std::vector<std::int32_t>(size, 0), std::vector<std::int32_t>(size, -1), false};
}

std::int64_t bytes_of(const Split& split, const Tokenizer& tokenizer, std::int64_t tokens) {
    constexpr std::int64_t kPiece = 1 << 16;
    std::vector<std::int32_t> ids;
    std::string text;
    std::int64_t bytes = 0;
    for (std::int64_t at = 0; at < tokens; at += kPiece) {
        ids.resize(static_cast<std::size_t>(std::min(kPiece, tokens - at)));
        split.read(at, static_cast<std::int64_t>(ids.size()), ids.data());
        if (tokenizer.separator()) std::erase(ids, *tokenizer.separator());
        text.clear();
        tokenizer.decode(ids, text);
        bytes += static_cast<std::int64_t>(text.size());
    }
    return bytes;
}

}  // namespace

TrainingStreams::TrainingStreams(const Split& split, std::int64_t batch, std::int64_t context)
    : split_(&split), batch_(batch), context_(context) {
    expect(batch >= 1, "streams", "batch must be at least 1: got {}; hint: set train.batch", batch);
    expect(context >= 1, "streams", "context must be at least 1: got {}; hint: set data.context", context);
    length_ = split.tokens() / batch;
    windows_ = (length_ - 1) / context;
    expect(windows_ >= 1, "streams",
           "split {} is too short for batch {} and context {}: got {} tokens a stream, expected at least {}; hint: lower train.batch or "
           "data.context, or prepare more text",
           split.name(), batch, context, length_, context + 1);
}

Window TrainingStreams::at(std::int64_t step, std::int64_t first, std::int64_t count) const {
    expect(step >= 0, "streams", "a step is not negative: got {}", step);
    expect(first >= 0 && count >= 0 && count <= batch_ - first, "streams", "sequences {} to {} are outside a batch of {}", first,
           first + count, batch_);
    Window window = empty_window(count, context_);
    window.restarts = step % windows_ == 0;
    std::vector<std::int32_t> tokens;
    for (std::int64_t row = 0; row < count; ++row) {
        fill_row(*split_, (first + row) * length_ + step % windows_ * context_, context_, window, row, tokens);
    }
    return window;
}

EvaluationStreams::EvaluationStreams(const Split& split, const Tokenizer& tokenizer, std::int64_t streams, std::int64_t context,
                                     Protocol protocol)
    : split_(&split), streams_(streams), context_(context), protocol_(protocol) {
    expect(streams >= 1, "streams", "streams must be at least 1: got {}; hint: set eval.streams", streams);
    expect(context >= 1, "streams", "context must be at least 1: got {}; hint: set data.context", context);
    std::int64_t tokens = split.tokens();
    if (protocol == Protocol::paper) {
        paper_windows_ = windows_ = (std::max<std::int64_t>(tokens, 1) - 1) / context / streams;
        expect(
            windows_ >= 1, "streams",
            "split {} is too short for {} streams of whole windows of {}: got {} tokens, expected at least {}; hint: leave out --protocol "
            "paper, or lower eval.streams or data.context",
            split.name(), streams, context, tokens, streams * context + 1);
        scored_ = streams * windows_ * context;
        bytes_ = bytes_of(split, tokenizer, scored_ + 1);
        return;
    }
    expect(tokens / streams >= 2, "streams",
           "split {} is too short for {} streams: got {} tokens, expected at least {}; hint: lower eval.streams or prepare more text",
           split.name(), streams, tokens, 2 * streams);
    std::int64_t longest = (tokens + streams - 1) / streams - 1;
    windows_ = (longest + context - 1) / context;
    scored_ = tokens - streams;
    bytes_ = split.bytes();
}

// floor(s·N/S) without a product that could overflow.
std::int64_t EvaluationStreams::begin(std::int64_t stream) const {
    if (protocol_ == Protocol::paper) return stream * paper_windows_ * context_;
    std::int64_t tokens = split_->tokens();
    return tokens / streams_ * stream + tokens % streams_ * stream / streams_;
}

std::int64_t EvaluationStreams::inputs(std::int64_t stream) const {
    if (protocol_ == Protocol::paper) return paper_windows_ * context_;
    return begin(stream + 1) - begin(stream) - 1;
}

Window EvaluationStreams::at(std::int64_t index) const {
    expect(index >= 0 && index < windows_, "streams", "window {} is outside 0 to {}", index, windows_ - 1);
    std::int64_t columns = 0;
    auto left = [&](std::int64_t stream) { return std::clamp<std::int64_t>(inputs(stream) - index * context_, 0, context_); };
    for (std::int64_t stream = 0; stream < streams_; ++stream) columns = std::max(columns, left(stream));
    Window window = empty_window(streams_, columns);
    window.restarts = index == 0;
    std::vector<std::int32_t> tokens;
    for (std::int64_t stream = 0; stream < streams_; ++stream) {
        if (left(stream) == 0) continue;
        fill_row(*split_, begin(stream) + index * context_, left(stream), window, stream, tokens);
    }
    return window;
}

}  // namespace data
