#include "data/token_store.h"

#include "data/byte_source.h"
#include "data/error.h"
#include "data/mapped_file.h"
#include "data/xxh64.h"

#include <algorithm>
#include <cstring>

namespace data {
namespace {

using nlohmann::json;

constexpr const char* kHint = "hint: copy the store again, or make it with moegrad prepare --force";

template <class Word>
std::uint32_t largest(const char* bytes, std::size_t count) {
    const auto* words = reinterpret_cast<const Word*>(bytes);
    Word most = 0;
    for (std::size_t i = 0; i < count; ++i) most = std::max(most, words[i]);
    return most;
}

template <class Word>
void widen(const char* bytes, std::int64_t first, std::int64_t count, std::int32_t* ids) {
    const auto* words = reinterpret_cast<const Word*>(bytes) + first;
    for (std::int64_t i = 0; i < count; ++i) ids[i] = static_cast<std::int32_t>(words[i]);
}

const FileDigest& digest_of(const Manifest& manifest, const std::string& name, const fs::path& folder) {
    auto found = manifest.files.find(name);
    expect(found != manifest.files.end(), "store", "{} is damaged: it does not list {}; {}", (folder / kManifestName).string(), name,
           kHint);
    fs::path path = folder / name;
    std::error_code code;
    auto bytes = fs::file_size(path, code);
    expect(!code, "store", "{} is missing or unreadable: {}; {}", path.string(), code.message(), kHint);
    expect(static_cast<std::int64_t>(bytes) == found->second.bytes, "store", "{} is damaged: got {} bytes, expected {}; {}", path.string(),
           bytes, found->second.bytes, kHint);
    return found->second;
}

void check_checksum(std::uint64_t formed, const FileDigest& digest, const fs::path& path) {
    expect(formed == digest.checksum, "store", "{} is damaged: got checksum {}, expected {}; {}", path.string(), hex_of(formed),
           hex_of(digest.checksum), kHint);
}

}  // namespace

class Split::Shard {
  public:
    Shard(const fs::path& path, int token_bytes) : file_(path), token_bytes_(token_bytes) {}

    std::int64_t bytes() const { return file_.bytes(); }

    void read(std::int64_t first, std::int64_t count, std::int32_t* ids) const {
        switch (token_bytes_) {
            case 1:
                return widen<std::uint8_t>(file_.data(), first, count, ids);
            case 2:
                return widen<std::uint16_t>(file_.data(), first, count, ids);
            default:
                return widen<std::uint32_t>(file_.data(), first, count, ids);
        }
    }

    // One pass over the file, block by block, so that the second look at a block finds it in the cache.
    void verify(const FileDigest& digest, std::int32_t vocab, const fs::path& path) const {
        Xxh64 hash;
        std::uint32_t most = 0;
        for (std::int64_t at = 0; at < file_.bytes(); at += kBlock) {
            auto count = static_cast<std::size_t>(std::min<std::int64_t>(kBlock, file_.bytes() - at));
            const char* block = file_.data() + at;
            hash.add(block, count);
            switch (token_bytes_) {
                case 1:
                    most = std::max(most, largest<std::uint8_t>(block, count));
                    break;
                case 2:
                    most = std::max(most, largest<std::uint16_t>(block, count / 2));
                    break;
                default:
                    most = std::max(most, largest<std::uint32_t>(block, count / 4));
            }
        }
        file_.let_go();
        check_checksum(hash.digest(), digest, path);
        expect(most < static_cast<std::uint32_t>(vocab), "store",
               "{} holds an id outside the vocabulary: got {}, expected less than {}; {}", path.string(), most, vocab, kHint);
    }

  private:
    MappedFile file_;
    int token_bytes_;
};

Split::Split(SplitId id, const SplitTotals& totals) : id_(id), totals_(totals) {}
Split::Split(Split&&) noexcept = default;
Split::~Split() = default;

void Split::read(std::int64_t first, std::int64_t count, std::int32_t* ids) const {
    expect(first >= 0 && count >= 0 && count <= tokens() - first, "store", "tokens {} to {} are outside split {}, which has {}", first,
           first + count, name(), tokens());
    while (count > 0) {
        std::int64_t shard = first / shard_tokens_, inside = first % shard_tokens_, taken = std::min(count, shard_tokens_ - inside);
        shards_[static_cast<std::size_t>(shard)].read(inside, taken, ids);
        first += taken;
        count -= taken;
        ids += taken;
    }
}

TokenStore::TokenStore(const fs::path& folder, Verify verify) : folder_(folder), manifest_(read_manifest(folder)) {
    tokenizer_ = load_tokenizer(manifest_.tokenizer, folder_, (folder_ / kManifestName).string());
    expect(manifest_.token_bytes == token_bytes_of(vocab()), "store",
           "{} is damaged: got token_bytes {}, expected {} for a vocabulary of {}", (folder_ / kManifestName).string(),
           manifest_.token_bytes, token_bytes_of(vocab()), vocab());
    for (std::size_t i = 0; i < kSplits; ++i) {
        splits_.push_back(Split(static_cast<SplitId>(i), manifest_.splits[i]));
        splits_.back().shard_tokens_ = manifest_.shard_tokens;
        for (std::int64_t shard = 0; shard < manifest_.shards(static_cast<SplitId>(i)); ++shard) open_shard(splits_.back(), shard, verify);
    }
    const FileDigest& index = digest_of(manifest_, kIndexName, folder_);
    if (verify == Verify::sizes) return;
    MappedFile file(folder_ / kIndexName);
    check_checksum(xxh64({file.data(), static_cast<std::size_t>(file.bytes())}), index, folder_ / kIndexName);
}

void TokenStore::open_shard(Split& split, std::int64_t shard, Verify verify) {
    std::string name = manifest_.shard_name(split.id_, shard);
    const FileDigest& digest = digest_of(manifest_, name, folder_);
    std::int64_t tokens = std::min(manifest_.shard_tokens, split.tokens() - shard * manifest_.shard_tokens);
    expect(digest.bytes == tokens * manifest_.token_bytes, "store", "{} is damaged: got {} bytes, expected {} tokens of {} bytes; {}",
           (folder_ / name).string(), digest.bytes, tokens, manifest_.token_bytes, kHint);
    split.shards_.emplace_back(folder_ / name, manifest_.token_bytes);
    expect(split.shards_.back().bytes() == digest.bytes, "store", "{} changes while it is read", (folder_ / name).string());
    if (verify == Verify::checksums) split.shards_.back().verify(digest, vocab(), folder_ / name);
}

const Split& TokenStore::split(std::string_view name) const {
    for (const Split& split : splits_) {
        if (split.name() == name) return split;
    }
    fail("store", "unknown split: got {}, expected train, valid or test", name);
}

std::vector<Document> TokenStore::documents() const {
    fs::path path = folder_ / kIndexName;
    MappedFile file(path);
    std::string_view text(file.data(), static_cast<std::size_t>(file.bytes()));
    std::vector<Document> documents;
    while (!text.empty()) {
        std::size_t end = std::min(text.find('\n'), text.size());
        try {
            json line = json::parse(text.substr(0, end));
            const Split& of = split(line.at("split").get<std::string>());
            documents.push_back({line.at("name").get<std::string>(), of.id_, line.at("first").get<std::int64_t>(),
                                 line.at("tokens").get<std::int64_t>(), line.at("bytes").get<std::int64_t>()});
        } catch (const json::exception& error) {
            fail("store", "{}:{} is damaged: {}; {}", path.string(), documents.size() + 1, error.what(), kHint);
        }
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return documents;
}

}  // namespace data
