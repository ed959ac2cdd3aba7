#include "engine/io/manifest.h"

#include "engine/base/error.h"
#include "engine/io/atomic_file.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

namespace engine::io {
namespace {

using nlohmann::json;

constexpr const char* kManifest = "manifest.json";

struct Digest {
    std::uint64_t bytes = 0;
    std::uint64_t hash = kFnvBasis;
};

Digest digest_of(const fs::path& path) {
    std::ifstream stream(path, std::ios::binary);
    Digest digest;
    std::vector<char> block(1 << 20);
    while (stream) {
        stream.read(block.data(), static_cast<std::streamsize>(block.size()));
        std::string_view piece(block.data(), static_cast<std::size_t>(stream.gcount()));
        digest.bytes += piece.size();
        digest.hash = fnv1a(piece, digest.hash);
    }
    expect(stream.eof(), "manifest", "cannot read {}", path.string());
    return digest;
}

std::set<std::string> files_of(const fs::path& folder) {
    std::set<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        std::string name = fs::relative(entry.path(), folder).generic_string();
        if (entry.is_regular_file() && name != kManifest) files.insert(name);
    }
    return files;
}

}  // namespace

std::uint64_t fnv1a(std::string_view bytes, std::uint64_t hash) {
    for (char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211u;
    return hash;
}

void write_manifest(const fs::path& folder) {
    json files = json::object();
    for (const std::string& name : files_of(folder)) {
        Digest digest = digest_of(folder / name);
        files[name] = {{"bytes", digest.bytes}, {"fnv1a64", fmt::format("{:016x}", digest.hash)}};
    }
    write_file(folder / kManifest, json{{"files", files}}.dump(2, ' ', true, json::error_handler_t::replace) + "\n");
}

void verify_manifest(const fs::path& folder) {
    std::string manifest = (folder / kManifest).string();
    json parsed = json::parse(read_file(manifest), nullptr, false);
    bool whole = parsed.is_object() && parsed.contains("files") && parsed["files"].is_object();
    expect(whole, "manifest", "{} is damaged: it is no list of files", manifest);
    std::set<std::string> listed;
    for (const auto& [name, value] : parsed["files"].items()) {
        whole = value.is_object() && value.contains("bytes") && value["bytes"].is_number_unsigned() && value.contains("fnv1a64") &&
                value["fnv1a64"].is_string();
        expect(whole, "manifest", "{} is damaged: the entry of {} has no size or checksum", manifest, name);
        fs::path path = folder / name;
        expect(fs::is_regular_file(path), "manifest", "{} is missing; {} lists it", path.string(), manifest);
        auto bytes = value["bytes"].get<std::uint64_t>();
        expect(fs::file_size(path) == bytes, "manifest", "{} is damaged: got {} bytes, expected {}", path.string(), fs::file_size(path),
               bytes);
        std::string hash = fmt::format("{:016x}", digest_of(path).hash);
        expect(hash == value["fnv1a64"].get<std::string>(), "manifest", "{} is damaged: got checksum {}, expected {}", path.string(), hash,
               value["fnv1a64"].get<std::string>());
        listed.insert(name);
    }
    for (const std::string& name : files_of(folder)) {
        expect(listed.contains(name), "manifest", "{} is not listed in {}", (folder / name).string(), manifest);
    }
}

}  // namespace engine::io
