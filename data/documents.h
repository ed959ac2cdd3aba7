#pragma once
// A corpus as a sequence of documents, read piece by piece: a document is a file, a line of a JSONL file, or an archive's member.
#include "data/byte_source.h"

#include <string>
#include <string_view>
#include <vector>

namespace data {

// A file that holds one or more documents.
struct SourceFile {
    std::string name;  // relative to the folder that was given, or the file's own; the name of its documents begins with it
    fs::path path;
    std::int64_t bytes = 0;  // on the disk
};

// Files as they are given, folders with all that is below them, hidden names left out; sorted by name, so that the order of `paths` does
// not matter. Throws where a path is neither a file nor a folder, and where there is no file at all.
std::vector<SourceFile> find_files(const std::vector<fs::path>& paths);

// Called for every document in turn: begin, text once or more, end. A document without text does not come.
class DocumentSink {
  public:
    virtual ~DocumentSink() = default;
    virtual void begin(const std::string& name) = 0;
    virtual void text(std::string_view piece) = 0;
    virtual void end() = 0;
};

// The documents of one file, by the end of its name (.zst, .gz and .dz are unpacked and do not count):
//   .jsonl .ndjson, and .json if packed   a line's string "text" each     "news.jsonl:17", counted from 1
//   .tar .tgz                             a regular member each           "member/path.txt"
//   any other                             its bytes                       "folder/file.txt"
void read_documents(const SourceFile& file, DocumentSink& sink, OnRead on_read = {});

// One format each; `where` names the file in errors.
void read_plain(ByteSource& source, const std::string& name, DocumentSink& sink);
void read_jsonl(ByteSource& source, const std::string& name, const std::string& where, DocumentSink& sink);
void read_tar(ByteSource& source, const std::string& where, DocumentSink& sink);

}  // namespace data
