#include "data/splits.h"

#include "data/error.h"
#include "data/xxh64.h"
#include "tests/support/text_files.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <doctest/doctest.h>

using data::DocumentKey, data::SplitId;

namespace {

std::vector<DocumentKey> some_documents(std::size_t count, std::int64_t largest) {
    std::vector<DocumentKey> documents(count);
    std::string random = tests::some_bytes(8 * count, count);
    for (std::size_t i = 0; i < count; ++i) {
        std::uint64_t number = data::xxh64(std::string_view(random).substr(8 * i, 8));
        documents[i] = {data::xxh64("document " + std::to_string(i)),
                        1 + static_cast<std::int64_t>(number % static_cast<std::uint64_t>(largest))};
    }
    return documents;
}

std::array<double, 3> shares(const std::vector<DocumentKey>& documents, const std::vector<SplitId>& splits) {
    std::array<double, 3> bytes{};
    for (std::size_t i = 0; i < documents.size(); ++i)
        bytes[static_cast<std::size_t>(splits[i])] += static_cast<double>(documents[i].bytes);
    double total = bytes[0] + bytes[1] + bytes[2];
    return {bytes[0] / total, bytes[1] / total, bytes[2] / total};
}

std::array<std::string, 3> cut(const std::string& text, std::size_t piece) {
    data::PositionCutter cutter(static_cast<std::int64_t>(text.size()));
    std::array<std::string, 3> parts;
    for (std::size_t at = 0; at < text.size();) {
        std::string_view rest = std::string_view(text).substr(at, piece);
        at += rest.size();
        while (!rest.empty()) {
            data::PositionCutter::Part part = cutter.next(rest);
            REQUIRE(part.bytes > 0);
            parts[static_cast<std::size_t>(part.split)] += rest.substr(0, part.bytes);
            rest.remove_prefix(part.bytes);
        }
    }
    return parts;
}

}  // namespace

TEST_CASE("whole documents are split 90/5/5 by bytes, right to half a document at each cut") {
    for (std::size_t count : {20, 97, 1009, 20011}) {
        for (std::int64_t largest : {1, 100, 1'000'000}) {
            std::vector<DocumentKey> documents = some_documents(count, largest);
            std::array<double, 3> share = shares(documents, data::split_by_hash(documents));
            double total = 0, most = 0;
            for (const DocumentKey& document : documents) {
                total += static_cast<double>(document.bytes);
                most = std::max(most, static_cast<double>(document.bytes));
            }
            double half = 0.5 * most / total + 1e-12;  // a cut falls into one document, which goes to its nearer side
            CHECK(std::abs(share[0] - 0.90) <= half);
            CHECK(std::abs(share[1] - 0.05) <= 2 * half);
            CHECK(std::abs(share[2] - 0.05) <= half);
        }
    }
}

TEST_CASE("a document's split does not depend on the order of the input") {
    std::vector<DocumentKey> documents = some_documents(1009, 1000);
    std::vector<SplitId> splits = data::split_by_hash(documents);
    std::vector<std::size_t> order(documents.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [](std::size_t a, std::size_t b) { return a * 7919 % 1009 < b * 7919 % 1009; });
    std::vector<DocumentKey> other;
    for (std::size_t i : order) other.push_back(documents[i]);
    std::vector<SplitId> other_splits = data::split_by_hash(other);
    bool equal = true;
    for (std::size_t i = 0; i < order.size(); ++i) equal = equal && other_splits[i] == splits[order[i]];
    CHECK(equal);
}

TEST_CASE("documents of equal names stay in their order") {
    std::vector<DocumentKey> documents(1000, DocumentKey{7, 1});
    std::vector<SplitId> splits = data::split_by_hash(documents);
    CHECK(std::is_sorted(splits.begin(), splits.end()));
    CHECK(std::count(splits.begin(), splits.end(), SplitId::train) == 900);
}

TEST_CASE("a few more documents move only few of the others") {
    std::vector<DocumentKey> documents = some_documents(1009, 1000);
    std::vector<SplitId> before = data::split_by_hash(documents);
    for (int i = 0; i < 10; ++i) documents.push_back({data::xxh64("new " + std::to_string(i)), 500});
    std::vector<SplitId> after = data::split_by_hash(documents);
    int moved = 0;
    for (std::size_t i = 0; i < before.size(); ++i) moved += before[i] != after[i];
    // Each cut moves by at most ten documents' bytes.
    CHECK(moved <= 40);
}

TEST_CASE("every split gets a document, also where one outweighs all others") {
    for (std::size_t giant = 0; giant < 20; ++giant) {
        std::vector<DocumentKey> documents = some_documents(20, 10);
        documents[giant].bytes = 1'000'000'000'000;
        std::vector<SplitId> splits = data::split_by_hash(documents);
        for (SplitId split : {SplitId::train, SplitId::valid, SplitId::test}) CHECK(std::count(splits.begin(), splits.end(), split) >= 1);
    }
    CHECK_THROWS_AS(data::split_by_hash(some_documents(2, 1)), data::Error);
}

TEST_CASE("a text is cut by position at 90 and 95 of 100 bytes, whatever the pieces") {
    for (std::size_t size : {1, 2, 19, 20, 100, 1009, 100'003}) {
        std::string text(size, 'x');
        for (std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{4096}, size}) {
            std::array<std::string, 3> parts = cut(text, piece);
            CHECK(parts[0].size() == size * 90 / 100);
            CHECK(parts[1].size() == size * 95 / 100 - size * 90 / 100);
            CHECK(parts[2].size() == size - size * 95 / 100);
        }
    }
}

TEST_CASE("a cut moves on to the next UTF-8 character, at most three bytes") {
    for (const std::string& character : {std::string("ä"), std::string("€"), std::string("𝄞")}) {
        for (std::size_t lead = 0; lead < 4; ++lead) {
            std::string text(lead, 'x');
            for (int i = 0; i < 100; ++i) text += character;
            for (std::size_t piece : {std::size_t{1}, std::size_t{3}, text.size()}) {
                std::array<std::string, 3> parts = cut(text, piece);
                CHECK(parts[0] + parts[1] + parts[2] == text);
                for (std::size_t i = 0; i < 3; ++i) CHECK((parts[i].size() - (i == 0 ? lead : 0)) % character.size() == 0);
                CHECK(parts[0].size() >= text.size() * 90 / 100);
                CHECK(parts[0].size() <= text.size() * 90 / 100 + 3);
            }
        }
    }
    // Bytes that are no UTF-8: three on, then it is cut all the same.
    CHECK(cut(std::string(100, '\x80'), 100)[0].size() == 93);
}
