#pragma once
// A store of tokens, read where it lies on the disk (memory-mapped).
#include "data/manifest.h"
#include "data/token_file.h"
#include "data/tokenizer.h"

#include <memory>

namespace data {

// The tokens of one split, in the order of the text.
class Split {
  public:
    std::string_view name() const { return kSplitNames[static_cast<std::size_t>(id_)]; }
    std::int64_t tokens() const { return totals_.tokens; }
    std::int64_t bytes() const { return totals_.bytes; }  // of text; separators are none
    std::int64_t words() const { return totals_.words; }
    std::int64_t documents() const { return totals_.documents; }

    // Tokens first … first + count − 1 as ids. Throws where the range leaves the split.
    void read(std::int64_t first, std::int64_t count, std::int32_t* ids) const;

  private:
    friend class TokenStore;
    Split(SplitId id, const SplitTotals& totals);

    SplitId id_;
    SplitTotals totals_;
    std::int64_t shard_tokens_ = 1;
    std::vector<TokenFile> shards_;
};

struct Document {
    std::string name;
    SplitId split = SplitId::train;
    std::int64_t first = 0;  // token of its split
    std::int64_t tokens = 0, bytes = 0;
};

enum class Verify { checksums, sizes };

class TokenStore {
  public:
    // Throws one error where anything is missing, damaged or contradicts the manifest. `checksums` reads every byte once, at several GB/s,
    // and finds ids outside the vocabulary as well.
    explicit TokenStore(const fs::path& folder, Verify verify = Verify::checksums);

    const fs::path& folder() const { return folder_; }
    const Tokenizer& tokenizer() const { return *tokenizer_; }
    std::int32_t vocab() const { return tokenizer_->vocab(); }
    // "train", "valid" or "test"; anything else is an error.
    const Split& split(std::string_view name) const;
    // The index, read from its file.
    std::vector<Document> documents() const;

  private:
    void open_shard(Split& split, std::int64_t shard, Verify verify);

    fs::path folder_;
    Manifest manifest_;
    std::unique_ptr<Tokenizer> tokenizer_;
    std::vector<Split> splits_;
};

}  // namespace data
