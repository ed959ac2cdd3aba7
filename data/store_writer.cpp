#include "data/store_writer.h"

#include "data/error.h"

#include <algorithm>

namespace data {
namespace {

constexpr std::array<bool, 256> kWhiteSpace = [] {
    std::array<bool, 256> table{};
    for (unsigned char byte : {' ', '\t', '\n', '\v', '\f', '\r'}) table[byte] = true;
    return table;
}();

// Words that begin in the piece; `between` tells whether white space came last.
std::int64_t count_words(std::string_view piece, bool& between) {
    std::int64_t words = 0;
    bool before = between;
    for (char byte : piece) {
        bool space = kWhiteSpace[static_cast<unsigned char>(byte)];
        words += before && !space;
        before = space;
    }
    between = before;
    return words;
}

template <class Word>
void pack(const std::int32_t* ids, std::size_t count, std::vector<char>& packed) {
    packed.resize(count * sizeof(Word));
    auto* words = reinterpret_cast<Word*>(packed.data());
    for (std::size_t i = 0; i < count; ++i) words[i] = static_cast<Word>(ids[i]);
}

}  // namespace

struct StoreWriter::Split {
    std::unique_ptr<OutputFile> shard;
    std::int64_t shards = 0;  // begun
    std::int64_t room = 0;    // tokens that the open shard still takes
};

StoreWriter::StoreWriter(const OutputFolder& folder, const Tokenizer& tokenizer, std::int64_t shard_tokens)
    : folder_(folder), tokenizer_(tokenizer), splits_(kSplits), index_(folder.partial() / kIndexName) {
    manifest_.tokenizer = tokenizer.description();
    manifest_.token_bytes = token_bytes_of(tokenizer.vocab());
    manifest_.shard_tokens = shard_tokens;
}

StoreWriter::~StoreWriter() = default;

void StoreWriter::begin(SplitId split, const std::string& name) {
    open_ = split;
    name_ = name;
    encoder_ = tokenizer_.encoder();
    bytes_ = 0;
    between_words_ = true;
    SplitTotals& totals = manifest_.splits[static_cast<std::size_t>(open_)];
    if (tokenizer_.separator() && totals.documents > 0) put({*tokenizer_.separator()});
    first_ = totals.tokens;
}

void StoreWriter::text(std::string_view piece) {
    bytes_ += static_cast<std::int64_t>(piece.size());
    manifest_.splits[static_cast<std::size_t>(open_)].words += count_words(piece, between_words_);
    ids_.clear();
    encoder_->encode(piece, ids_);
    put(ids_);
}

void StoreWriter::end() {
    ids_.clear();
    encoder_->finish(ids_);
    put(ids_);
    SplitTotals& totals = manifest_.splits[static_cast<std::size_t>(open_)];
    totals.documents += 1;
    totals.bytes += bytes_;
    nlohmann::ordered_json line{{"name", name_},
                                {"split", kSplitNames[static_cast<std::size_t>(open_)]},
                                {"first", first_},
                                {"tokens", totals.tokens - first_},
                                {"bytes", bytes_}};
    // A name that is no UTF-8 is written with replacement characters.
    std::string text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    index_.write(text.data(), text.size());
}

void StoreWriter::put(const std::vector<std::int32_t>& ids) {
    Split& split = splits_[static_cast<std::size_t>(open_)];
    for (std::size_t done = 0; done < ids.size();) {
        if (split.room == 0) {
            close_shard(split);
            split.shard = std::make_unique<OutputFile>(folder_.partial() / manifest_.shard_name(open_, split.shards));
            split.shards += 1;
            split.room = manifest_.shard_tokens;
        }
        std::size_t count = std::min(ids.size() - done, static_cast<std::size_t>(split.room));
        switch (manifest_.token_bytes) {
            case 1:
                pack<std::uint8_t>(ids.data() + done, count, packed_);
                break;
            case 2:
                pack<std::uint16_t>(ids.data() + done, count, packed_);
                break;
            default:
                pack<std::uint32_t>(ids.data() + done, count, packed_);
        }
        split.shard->write(packed_.data(), packed_.size());
        split.room -= static_cast<std::int64_t>(count);
        done += count;
    }
    manifest_.splits[static_cast<std::size_t>(open_)].tokens += static_cast<std::int64_t>(ids.size());
}

void StoreWriter::close_shard(Split& split) {
    if (!split.shard) return;
    split.shard->close();
    SplitId id = static_cast<SplitId>(&split - splits_.data());
    manifest_.files[manifest_.shard_name(id, split.shards - 1)] = {split.shard->bytes(), split.shard->checksum()};
    split.shard.reset();
}

Manifest StoreWriter::finish(const std::string& split_rule) {
    for (Split& split : splits_) close_shard(split);
    index_.close();
    manifest_.files[kIndexName] = {index_.bytes(), index_.checksum()};
    manifest_.split_rule = split_rule;
    std::string text = manifest_text(manifest_);
    OutputFile file(folder_.partial() / kManifestName);
    file.write(text.data(), text.size());
    file.close();
    return manifest_;
}

}  // namespace data
