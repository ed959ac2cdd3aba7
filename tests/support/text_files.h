#pragma once
// Texts, files and small stores for the tests of data and of the programs that read it.
#include "data/prepare.h"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace tests {

inline void write_text(const std::filesystem::path& path, const std::string& text) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
}

inline std::string read_text(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

// Any bytes, the same for the same seed.
inline std::string some_bytes(std::size_t count, std::uint64_t seed = 1) {
    std::string text(count, '\0');
    std::uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
    for (char& byte : text) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        byte = static_cast<char>(state >> 56);
    }
    return text;
}

// A store of one file, cut 90/5/5 by position.
inline data::Manifest prepare_text(const std::filesystem::path& folder, const std::string& text, const std::string& tokenizer = "bytes",
                                   std::int64_t shard_tokens = std::int64_t{1} << 28) {
    std::filesystem::path file = folder.string() + ".txt";
    write_text(file, text);
    return data::prepare({.paths = {file}, .tokenizer = tokenizer, .out = folder, .shard_tokens = shard_tokens});
}

}  // namespace tests
