#include "data/manifest.h"

#include "data/byte_source.h"
#include "data/error.h"
#include "data/xxh64.h"

namespace data {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "moegrad tokens";
constexpr int kVersion = 1;
constexpr const char* kHint = "hint: make the store again with moegrad prepare --force";

std::string read_text(const fs::path& path) {
    std::unique_ptr<ByteSource> source = open_file(path);
    std::string text;
    std::vector<char> block(kBlock);
    while (std::size_t got = source->read(block.data(), block.size())) text.append(block.data(), got);
    return text;
}

json to_json(const Manifest& manifest) {
    json splits = json::object(), files = json::object();
    for (std::size_t i = 0; i < kSplits; ++i) {
        const SplitTotals& totals = manifest.splits[i];
        splits[std::string(kSplitNames[i])] = {
            {"documents", totals.documents}, {"bytes", totals.bytes}, {"words", totals.words}, {"tokens", totals.tokens}};
    }
    for (const auto& [name, digest] : manifest.files) files[name] = {{"bytes", digest.bytes}, {"xxh64", hex_of(digest.checksum)}};
    return {{"format", kFormat},
            {"version", kVersion},
            {"tokenizer", manifest.tokenizer},
            {"token_bytes", manifest.token_bytes},
            {"shard_tokens", manifest.shard_tokens},
            {"split_rule", manifest.split_rule},
            {"splits", splits},
            {"files", files}};
}

// Reads members of an object that must be there and of the right kind.
class Reader {
  public:
    Reader(const json& object, std::string where) : object_(object), where_(std::move(where)) {
        expect(object_.is_object(), "store", "{} is damaged: expected an object; {}", where_, kHint);
    }
    const json& at(const std::string& key) const {
        expect(object_.contains(key), "store", "{} is damaged: {} is missing; {}", where_, key, kHint);
        return object_[key];
    }
    std::int64_t count(const std::string& key) const {
        const json& value = at(key);
        bool fits = value.is_number_unsigned() && value.get<std::uint64_t>() < std::uint64_t{1} << 60;
        expect(fits, "store", "{} is damaged: {} must be a count: got {}; {}", where_, key, value.dump(), kHint);
        return value.get<std::int64_t>();
    }
    std::string text(const std::string& key) const {
        const json& value = at(key);
        expect(value.is_string(), "store", "{} is damaged: {} must be a text: got {}; {}", where_, key, value.dump(), kHint);
        return value.get<std::string>();
    }

  private:
    const json& object_;
    std::string where_;
};

void check_own_checksum(json& parsed, const std::string& where) {
    std::string stored = Reader(parsed, where).text("xxh64");
    parsed.erase("xxh64");
    std::string formed = hex_of(xxh64(parsed.dump()));
    expect(stored == formed, "store", "{} is damaged: got checksum {}, expected {}; {}", where, formed, stored, kHint);
}

}  // namespace

std::int64_t Manifest::shards(SplitId split) const {
    std::int64_t tokens = splits[static_cast<std::size_t>(split)].tokens;
    return tokens / shard_tokens + (tokens % shard_tokens != 0 ? 1 : 0);
}

std::string Manifest::shard_name(SplitId split, std::int64_t shard) const {
    return fmt::format("{}-{:05}.u{}", kSplitNames[static_cast<std::size_t>(split)], shard, 8 * token_bytes);
}

int token_bytes_of(std::int32_t vocab) { return vocab <= 1 << 8 ? 1 : vocab <= 1 << 16 ? 2 : 4; }

std::string manifest_text(const Manifest& manifest) {
    json described = to_json(manifest);
    described["xxh64"] = hex_of(xxh64(described.dump()));
    return described.dump(2) + "\n";
}

Manifest read_manifest(const fs::path& folder) {
    expect(fs::is_directory(folder), "store", "there is no folder {}; hint: moegrad prepare makes it from text", folder.string());
    fs::path path = folder / kManifestName;
    std::string where = path.string();
    expect(fs::is_regular_file(path), "store", "{} is no store of tokens: it has no {}; hint: moegrad prepare makes one from text",
           folder.string(), kManifestName);
    json parsed = json::parse(read_text(path), nullptr, false);
    expect(parsed.is_object(), "store", "{} is damaged: it is no JSON object; {}", where, kHint);
    bool ours = parsed.contains("format") && parsed["format"] == kFormat;
    expect(ours, "store", "{} is no store of tokens: expected \"format\": \"{}\" in {}; hint: moegrad prepare makes one from text",
           folder.string(), kFormat, kManifestName);
    check_own_checksum(parsed, where);
    Reader reader(parsed, where);
    expect(reader.count("version") == kVersion, "store", "{} is of another version: got {}, expected {}; {}", where,
           reader.count("version"), kVersion, kHint);
    Manifest manifest;
    manifest.tokenizer = reader.at("tokenizer");
    std::int64_t width = reader.count("token_bytes");
    expect(width == 1 || width == 2 || width == 4, "store", "{} is damaged: token_bytes must be 1, 2 or 4: got {}; {}", where, width,
           kHint);
    manifest.token_bytes = static_cast<int>(width);
    manifest.shard_tokens = reader.count("shard_tokens");
    expect(manifest.shard_tokens > 0, "store", "{} is damaged: shard_tokens must be positive; {}", where, kHint);
    manifest.split_rule = reader.text("split_rule");
    Reader splits(reader.at("splits"), where);
    for (std::size_t i = 0; i < kSplits; ++i) {
        Reader totals(splits.at(std::string(kSplitNames[i])), where);
        manifest.splits[i] = {totals.count("documents"), totals.count("bytes"), totals.count("words"), totals.count("tokens")};
    }
    Reader files(reader.at("files"), where);
    for (const auto& [name, value] : reader.at("files").items()) {
        Reader digest(value, where);
        std::string hash = digest.text("xxh64");
        bool hexadecimal = hash.size() == 16 && hash.find_first_not_of("0123456789abcdef") == std::string::npos;
        expect(hexadecimal, "store", "{} is damaged: the checksum of {} is {}; {}", where, name, hash, kHint);
        manifest.files[name] = {digest.count("bytes"), std::stoull(hash, nullptr, 16)};
    }
    return manifest;
}

bool is_store(const fs::path& folder) {
    if (!fs::is_regular_file(folder / kManifestName)) return false;
    json parsed = json::parse(read_text(folder / kManifestName), nullptr, false);
    return parsed.is_object() && parsed.contains("format") && parsed["format"] == kFormat;
}

}  // namespace data
