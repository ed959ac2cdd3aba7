#pragma once
// A store: a folder of tokens that prepare writes and training reads.
//
//   manifest.json         what the folder holds, sizes and checksums (XXH64) of every other file, and a checksum of itself
//   train-00000.u8, ...   tokens of a split, one after another: u8, u16 or u32 by vocabulary, little-endian, in shards of equal length
//   documents.jsonl       a line a document, in the order of the text: name, split, first token, tokens, bytes
#include "data/splits.h"

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace data {

namespace fs = std::filesystem;

inline constexpr const char* kManifestName = "manifest.json";
inline constexpr const char* kIndexName = "documents.jsonl";

struct SplitTotals {
    std::int64_t documents = 0;
    std::int64_t bytes = 0;   // of text; a separator is none
    std::int64_t words = 0;   // runs of bytes between ASCII white space, as `wc -w` counts
    std::int64_t tokens = 0;  // separators included
};

struct FileDigest {
    std::int64_t bytes = 0;
    std::uint64_t checksum = 0;
};

struct Manifest {
    nlohmann::json tokenizer;  // Tokenizer::description()
    int token_bytes = 1;       // 1, 2 or 4
    std::int64_t shard_tokens = 0;
    std::string split_rule;  // "whole documents by hash of name" or "by position"
    std::array<SplitTotals, kSplits> splits;
    std::map<std::string, FileDigest> files;

    std::int64_t shards(SplitId split) const;
    std::string shard_name(SplitId split, std::int64_t shard) const;
};

// 1, 2 or 4.
int token_bytes_of(std::int32_t vocab);
std::string manifest_text(const Manifest& manifest);
// Throws where the folder is no store, or the manifest is damaged or contradicts itself.
Manifest read_manifest(const fs::path& folder);
// Whether a store stands there, whole or damaged.
bool is_store(const fs::path& folder);

}  // namespace data
