#pragma once
// Text to a store of tokens. Two passes over the input, neither keeps more than a piece of it: the first learns the documents' names and
// sizes (and the bytes that occur), the second writes.
#include "data/documents.h"
#include "data/manifest.h"

#include <functional>

namespace data {

struct PrepareProgress {
    int pass = 1;                   // 1: reading, 2: writing
    std::int64_t done = 0, of = 0;  // bytes read from the disk in both passes
    std::int64_t text_bytes = 0;    // of text in this pass
};

struct PrepareOptions {
    std::vector<fs::path> paths;
    std::string tokenizer = "bytes";
    fs::path out;
    bool replace = false;  // a store that stands at `out`
    std::int64_t shard_tokens = std::int64_t{1} << 28;
    std::function<void(const PrepareProgress&)> progress = {};  // after each piece; may throw to stop
};

// What stands at `out` afterwards is the whole store, or what stood there before. Throws where the input cannot be read or is damaged,
// holds no text or changes between the passes, where something stands at `out` (a store only if `replace` is not set), and where the disk
// is full.
Manifest prepare(const PrepareOptions& options);

}  // namespace data
