#include "data/token_store.h"

#include "data/error.h"
#include "data/mapped_file.h"
#include "data/xxh64.h"

#include <algorithm>

namespace data {
namespace {

using nlohmann::json;

constexpr const char* kHint = "hint: copy the store again, or make it with moegrad prepare --force";

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

Split::Split(SplitId id, const SplitTotals& totals) : id_(id), totals_(totals) {}

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
    std::size_t expected = 1;
    for (const Split& split : splits_) expected += split.shards_.size();
    expect(manifest_.files.size() == expected, "store", "{} is damaged: it lists {} files, expected {}; {}",
           (folder_ / kManifestName).string(), manifest_.files.size(), expected, kHint);
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
    if (verify == Verify::sizes) return;
    TokenFile::Contents contents = split.shards_.back().contents();
    check_checksum(contents.checksum, digest, folder_ / name);
    expect(contents.largest < static_cast<std::uint32_t>(vocab()), "store",
           "{} holds an id outside the vocabulary: got {}, expected less than {}; {}", (folder_ / name).string(), contents.largest, vocab(),
           kHint);
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
