#include "data/streams.h"

#include "data/error.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text_files.h"

#include <algorithm>
#include <set>

#include <doctest/doctest.h>

using data::EvaluationStreams, data::Protocol, data::TokenStore, data::TrainingStreams, data::Window;

namespace {

// A store whose training split has `tokens` tokens: 0, 1, 2, … modulo 251, so that neighbours tell where they are.
class Counting {
  public:
    explicit Counting(std::int64_t tokens) {
        std::string text;
        while (tokens * 100 > static_cast<std::int64_t>(text.size()) * 90) text.push_back(static_cast<char>(text.size() % 251 & 0x7f));
        // Cuts move to the next character's beginning; below 0x80 every byte is one.
        tests::prepare_text(folder_ / "store", text, "bytes", 97);
        store_ = std::make_unique<TokenStore>(folder_ / "store");
        text_ = text.substr(0, static_cast<std::size_t>(split().tokens()));
    }
    const data::Split& split() const { return store_->split("train"); }
    const data::Tokenizer& tokenizer() const { return store_->tokenizer(); }
    std::int32_t token(std::int64_t i) const { return static_cast<unsigned char>(text_[static_cast<std::size_t>(i)]); }

  private:
    tests::TemporaryFolder folder_;
    std::string text_;
    std::unique_ptr<TokenStore> store_;
};

}  // namespace

TEST_CASE("training streams give each stream its own part, window after window, and start again after the last whole one") {
    for (std::int64_t tokens : {2, 16, 97, 1009}) {
        Counting text(tokens);
        std::int64_t N = text.split().tokens();
        REQUIRE(N == tokens);
        for (std::int64_t B : {1, 2, 3, 7, 64}) {
            for (std::int64_t T : {1, 2, 5, 13, 500}) {
                std::int64_t length = N / B;
                if (length < T + 1) {
                    CHECK_THROWS_AS(TrainingStreams(text.split(), B, T), data::Error);
                    continue;
                }
                TrainingStreams streams(text.split(), B, T);
                std::int64_t W = (length - 1) / T;
                CHECK(streams.windows() == W);
                for (std::int64_t step = 0; step < 2 * W + 1; ++step) {
                    Window window = streams.at(step);
                    CHECK(window.restarts == (step % W == 0));
                    REQUIRE(window.ids.size() == static_cast<std::size_t>(B * T));
                    bool equal = true;
                    for (std::int64_t b = 0; b < B; ++b) {
                        for (std::int64_t t = 0; t < T; ++t) {
                            std::int64_t at = b * length + step % W * T + t;
                            equal = equal && window.ids[static_cast<std::size_t>(b * T + t)] == text.token(at) &&
                                    window.targets[static_cast<std::size_t>(b * T + t)] == text.token(at + 1) && at + 1 < (b + 1) * length;
                        }
                    }
                    CHECK(equal);
                }
            }
        }
    }
}

TEST_CASE("a part of the sequences of a step is that part of the whole window") {
    Counting text(1009);
    TrainingStreams streams(text.split(), 7, 13);
    Window whole = streams.at(5);
    for (std::int64_t first = 0; first <= 7; ++first) {
        for (std::int64_t count = 0; first + count <= 7; ++count) {
            Window part = streams.at(5, first, count);
            CHECK(part.rows == count);
            CHECK(part.columns == 13);
            CHECK(std::equal(part.ids.begin(), part.ids.end(), whole.ids.begin() + first * 13));
            CHECK(std::equal(part.targets.begin(), part.targets.end(), whole.targets.begin() + first * 13));
        }
    }
    CHECK_THROWS_AS(streams.at(5, 6, 2), data::Error);
    CHECK_THROWS_AS(streams.at(5, -1, 2), data::Error);
    CHECK_THROWS_AS(streams.at(-1), data::Error);
}

TEST_CASE("evaluation scores every token but each stream's first exactly once, after the token before it") {
    for (std::int64_t tokens : {2, 16, 97, 1009}) {
        Counting text(tokens);
        std::int64_t N = text.split().tokens();
        for (std::int64_t S : {1, 2, 3, 7, 64}) {
            for (std::int64_t T : {1, 2, 5, 13, 5000}) {
                if (N / S < 2) {
                    CHECK_THROWS_AS(EvaluationStreams(text.split(), text.tokenizer(), S, T), data::Error);
                    continue;
                }
                EvaluationStreams streams(text.split(), text.tokenizer(), S, T);
                CHECK(streams.bytes() == text.split().bytes());
                CHECK(streams.scored_tokens() == N - S);
                // Each stream's text, read back from its windows.
                std::vector<std::vector<std::int32_t>> read(static_cast<std::size_t>(S));
                bool ended = false, right = true;
                for (std::int64_t w = 0; w < streams.windows(); ++w) {
                    Window window = streams.at(w);
                    CHECK(window.restarts == (w == 0));
                    right = right && window.rows == S && window.columns >= 1 && window.columns <= T && !ended;
                    ended = window.columns < T;
                    for (std::int64_t s = 0; s < S; ++s) {
                        auto& stream = read[static_cast<std::size_t>(s)];
                        for (std::int64_t t = 0; t < window.columns; ++t) {
                            auto at = static_cast<std::size_t>(s * window.columns + t);
                            if (window.targets[at] < 0) {
                                right = right && window.targets[at] == -1 && window.ids[at] == 0;
                                continue;
                            }
                            if (stream.empty()) stream.push_back(window.ids[at]);
                            right = right && stream.back() == window.ids[at];
                            stream.push_back(window.targets[at]);
                        }
                    }
                }
                CHECK(right);
                std::int64_t position = 0;
                std::set<std::size_t> lengths;
                bool equal = true;
                for (const auto& stream : read) {
                    lengths.insert(stream.size());
                    for (std::int32_t id : stream) equal = equal && position < N && id == text.token(position++);
                }
                CHECK(equal);
                CHECK(position == N);
                CHECK(*lengths.rbegin() - *lengths.begin() <= 1);
            }
        }
    }
}

TEST_CASE("the paper's protocol drops the windows that do not fill all streams") {
    Counting text(1009);
    for (std::int64_t S : {1, 3, 4}) {
        for (std::int64_t T : {1, 13, 250}) {
            EvaluationStreams streams(text.split(), text.tokenizer(), S, T, Protocol::paper);
            std::int64_t W = 1008 / T / S;
            CHECK(streams.windows() == W);
            CHECK(streams.scored_tokens() == S * W * T);
            CHECK(streams.bytes() == S * W * T + 1);
            bool equal = true;
            for (std::int64_t w = 0; w < W; ++w) {
                Window window = streams.at(w);
                CHECK(window.columns == T);
                for (std::int64_t s = 0; s < S; ++s) {
                    for (std::int64_t t = 0; t < T; ++t) {
                        std::int64_t at = (s * W + w) * T + t;
                        equal = equal && window.ids[static_cast<std::size_t>(s * T + t)] == text.token(at) &&
                                window.targets[static_cast<std::size_t>(s * T + t)] == text.token(at + 1);
                    }
                }
            }
            CHECK(equal);
        }
    }
    CHECK_THROWS_AS(EvaluationStreams(text.split(), text.tokenizer(), 4, 253, Protocol::paper), data::Error);
}

TEST_CASE("a split that is too short names itself, the sizes and what to change") {
    Counting text(97);
    CHECK_THROWS_WITH(TrainingStreams(text.split(), 4, 24),
                      "[streams] split train is too short for batch 4 and context 24: got 24 tokens a stream, expected at least 25; hint: "
                      "lower train.batch or data.context, or prepare more text");
    CHECK_THROWS_AS(TrainingStreams(text.split(), 0, 24), data::Error);
    CHECK_THROWS_AS(TrainingStreams(text.split(), 1, 0), data::Error);
    CHECK_THROWS_AS(EvaluationStreams(text.split(), text.tokenizer(), 0, 1), data::Error);
    CHECK_THROWS_AS(EvaluationStreams(text.split(), text.tokenizer(), 1, 0), data::Error);
}
