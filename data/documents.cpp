#include "data/documents.h"

#include "data/error.h"

#include <algorithm>
#include <tuple>

namespace data {
namespace {

bool hidden(const fs::path& path) { return path.filename().string().starts_with("."); }

SourceFile source_of(std::string name, const fs::path& path) {
    std::error_code code;
    auto bytes = fs::file_size(path, code);
    expect(!code, "prepare", "cannot read {}: {}", path.string(), code.message());
    return {std::move(name), path, static_cast<std::int64_t>(bytes)};
}

void find_below(const fs::path& folder, std::vector<SourceFile>& files) {
    try {
        for (auto at = fs::recursive_directory_iterator(folder); at != fs::recursive_directory_iterator(); ++at) {
            if (hidden(at->path())) {
                at.disable_recursion_pending();
            } else if (at->is_regular_file()) {
                files.push_back(source_of(at->path().lexically_relative(folder).generic_string(), at->path()));
            } else if (at->is_symlink() && !at->exists()) {
                fail("prepare", "cannot read {}: the link leads nowhere", at->path().string());
            }
        }
    } catch (const fs::filesystem_error& error) { fail("prepare", "cannot read {}: {}", folder.string(), error.code().message()); }
}

}  // namespace

std::vector<SourceFile> find_files(const std::vector<fs::path>& paths) {
    std::vector<SourceFile> files;
    for (const fs::path& path : paths) {
        std::error_code code;
        fs::file_status status = fs::status(path, code);
        expect(fs::exists(status), "prepare", "there is no {}: expected a file or a folder", path.string());
        if (fs::is_directory(status)) {
            find_below(path, files);
        } else {
            expect(fs::is_regular_file(status), "prepare", "cannot read {}: it is neither a file nor a folder", path.string());
            files.push_back(source_of(path.filename().string(), path));
        }
    }
    expect(!files.empty(), "prepare", "no files found: got {}; hint: names that begin with a dot are left out",
           paths.empty() ? "no path" : paths.front().string());
    std::sort(files.begin(), files.end(),
              [](const SourceFile& a, const SourceFile& b) { return std::tie(a.name, a.path) < std::tie(b.name, b.path); });
    return files;
}

void read_documents(const SourceFile& file, DocumentSink& sink, OnRead on_read) {
    bool tgz = file.name.ends_with(".tgz");
    std::unique_ptr<ByteSource> source = open_unpacked(file.path, std::move(on_read));
    if (tgz) source = unpack_gzip(std::move(source), file.path);
    std::string name = without_packing(file.name), where = file.path.string();
    bool packed = name != file.name;
    if (name.ends_with(".jsonl") || name.ends_with(".ndjson") || (packed && name.ends_with(".json"))) {
        read_jsonl(*source, name, where, sink);
    } else if (tgz || name.ends_with(".tar")) {
        read_tar(*source, where, sink);
    } else {
        read_plain(*source, name, sink);
    }
}

void read_plain(ByteSource& source, const std::string& name, DocumentSink& sink) {
    std::vector<char> block(kBlock);
    bool begun = false;
    while (std::size_t got = source.read(block.data(), block.size())) {
        if (!begun) sink.begin(name);
        begun = true;
        sink.text({block.data(), got});
    }
    if (begun) sink.end();
}

}  // namespace data
