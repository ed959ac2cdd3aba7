#include "data/prepare.h"

#include "data/error.h"
#include "data/output_folder.h"
#include "data/splits.h"
#include "data/store_writer.h"
#include "data/tokenizer.h"
#include "data/xxh64.h"

#include <algorithm>

namespace data {
namespace {

// What the first pass learns.
class Scan final : public DocumentSink {
  public:
    explicit Scan(PrepareProgress& progress) : progress_(progress) {}

    void begin(const std::string& name) override { documents_.push_back({xxh64(name), 0}); }
    void text(std::string_view piece) override {
        documents_.back().bytes += static_cast<std::int64_t>(piece.size());
        progress_.text_bytes += static_cast<std::int64_t>(piece.size());
        for (char byte : piece) seen_[static_cast<unsigned char>(byte)] = true;
    }
    void end() override {}

    const std::vector<DocumentKey>& documents() const { return documents_; }
    const SeenBytes& seen() const { return seen_; }

  private:
    PrepareProgress& progress_;
    std::vector<DocumentKey> documents_;
    SeenBytes seen_{};
};

// The second pass: checks that the documents are those of the first, and hands each part to its split.
class Write : public DocumentSink {
  public:
    Write(const std::vector<DocumentKey>& documents, StoreWriter& store, PrepareProgress& progress)
        : documents_(documents), store_(store), progress_(progress) {}

    void begin(const std::string& name) override {
        expect(next_ < documents_.size() && documents_[next_].hash == xxh64(name), "prepare", "{} was not there before; {}", name,
               kChanged);
        name_ = name;
        left_ = documents_[next_].bytes;
    }
    void text(std::string_view piece) override {
        left_ -= static_cast<std::int64_t>(piece.size());
        expect(left_ >= 0, "prepare", "{} grew; {}", name_, kChanged);
        progress_.text_bytes += static_cast<std::int64_t>(piece.size());
        put(piece);
    }
    void end() override {
        expect(left_ == 0, "prepare", "{} shrank; {}", name_, kChanged);
        close();
        ++next_;
    }
    // After the last document.
    void check_complete() const {
        expect(next_ == documents_.size(), "prepare", "{} of {} documents are gone; {}", documents_.size() - next_, documents_.size(),
               kChanged);
    }

  protected:
    virtual void put(std::string_view piece) = 0;

    void put_in(SplitId split, std::string_view piece) {
        if (open_ && split_ != split) close();
        if (!open_) store_.begin(split, name_);
        open_ = true;
        split_ = split;
        store_.text(piece);
    }
    std::size_t document() const { return next_; }

  private:
    static constexpr const char* kChanged = "the input changes while it is read; hint: run prepare again when nothing writes to it";

    void close() {
        if (open_) store_.end();
        open_ = false;
    }

    const std::vector<DocumentKey>& documents_;
    StoreWriter& store_;
    PrepareProgress& progress_;
    std::size_t next_ = 0;
    std::string name_;
    std::int64_t left_ = 0;
    SplitId split_ = SplitId::train;
    bool open_ = false;
};

class WriteByHash final : public Write {
  public:
    WriteByHash(const std::vector<DocumentKey>& documents, StoreWriter& store, PrepareProgress& progress)
        : Write(documents, store, progress), splits_(split_by_hash(documents)) {}

  private:
    void put(std::string_view piece) override { put_in(splits_[document()], piece); }

    std::vector<SplitId> splits_;
};

class WriteByPosition final : public Write {
  public:
    WriteByPosition(const std::vector<DocumentKey>& documents, StoreWriter& store, PrepareProgress& progress, std::int64_t bytes)
        : Write(documents, store, progress), cutter_(bytes) {}

  private:
    void put(std::string_view piece) override {
        while (!piece.empty()) {
            PositionCutter::Part part = cutter_.next(piece);
            put_in(part.split, piece.substr(0, part.bytes));
            piece.remove_prefix(part.bytes);
        }
    }

    PositionCutter cutter_;
};

void check_output(const PrepareOptions& options) {
    const fs::path& out = options.out;
    expect(!out.empty(), "prepare", "--out names no folder");
    if (!fs::exists(fs::symlink_status(out))) return;
    expect(fs::is_directory(out), "prepare", "cannot write {}: something else than a folder stands there; hint: give another --out",
           out.string());
    if (fs::is_empty(out)) return;
    bool store = is_store(out);
    expect(store, "prepare", "cannot write {}: it is a folder with other contents; hint: give another --out", out.string());
    expect(options.replace, "prepare", "{} holds a prepared store already; hint: --force replaces it", out.string());
}

// The output may lie below an input folder; what it holds is no input.
void leave_out_output(std::vector<SourceFile>& files, const fs::path& out) {
    fs::path store = fs::weakly_canonical(fs::absolute(out)) / "";
    std::string whole = store.parent_path().string() + "/", partial = store.parent_path().string() + ".partial/";
    std::erase_if(files, [&](const SourceFile& file) {
        std::string path = fs::weakly_canonical(file.path).string();
        return path.starts_with(whole) || path.starts_with(partial);
    });
}

void read_all(const std::vector<SourceFile>& files, DocumentSink& sink, const PrepareOptions& options, PrepareProgress& progress) {
    for (const SourceFile& file : files) {
        read_documents(file, sink, [&](std::int64_t bytes) {
            progress.done += bytes;
            if (options.progress) options.progress(progress);
        });
    }
}

}  // namespace

Manifest prepare(const PrepareOptions& options) {
    expect(options.shard_tokens > 0, "prepare", "a shard holds at least one token: got {}", options.shard_tokens);
    std::vector<SourceFile> files = find_files(options.paths);
    check_output(options);
    leave_out_output(files, options.out);
    PrepareProgress progress;
    for (const SourceFile& file : files) progress.of += 2 * file.bytes;
    Scan scan(progress);
    read_all(files, scan, options, progress);
    std::int64_t bytes = progress.text_bytes;
    expect(bytes > 0, "prepare", "no text found: {} holds no document that is not empty", options.paths.front().string());

    std::unique_ptr<Tokenizer> tokenizer = make_tokenizer(options.tokenizer, scan.seen());
    OutputFolder folder(options.out);
    StoreWriter store(folder, *tokenizer, options.shard_tokens);
    progress.pass = 2;
    progress.text_bytes = 0;
    bool whole = scan.documents().size() >= kWholeDocuments;
    std::unique_ptr<Write> write;
    if (whole) {
        write = std::make_unique<WriteByHash>(scan.documents(), store, progress);
    } else {
        write = std::make_unique<WriteByPosition>(scan.documents(), store, progress, bytes);
    }
    read_all(files, *write, options, progress);
    write->check_complete();
    Manifest manifest = store.finish(whole ? "whole documents by the hash of their names" : "by position");
    folder.commit();
    return manifest;
}

}  // namespace data
