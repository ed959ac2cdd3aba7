#pragma once
// manifest.json: size and checksum (FNV-1a, 64 bits) of every file of a folder, so that damage is found before it is used.
#include <cstdint>
#include <filesystem>
#include <string_view>

namespace engine::io {

inline constexpr std::uint64_t kFnvBasis = 14695981039346656037u;

// http://www.isthe.com/chongo/tech/comp/fnv; `hash` carries the sum over several pieces.
std::uint64_t fnv1a(std::string_view bytes, std::uint64_t hash = kFnvBasis);
// Describes every regular file below the folder but manifest.json itself.
void write_manifest(const std::filesystem::path& folder);
// Throws, naming the file that is missing, damaged or was never listed.
void verify_manifest(const std::filesystem::path& folder);

}  // namespace engine::io
