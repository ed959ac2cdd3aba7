#pragma once
// Writes a store's files: documents in, shards, index and manifest out.
#include "data/manifest.h"
#include "data/output_folder.h"
#include "data/tokenizer.h"

#include <memory>

namespace data {

class StoreWriter {
  public:
    // Both must outlive the writer. Shards hold `shard_tokens` tokens, the last of a split what is left.
    StoreWriter(const OutputFolder& folder, const Tokenizer& tokenizer, std::int64_t shard_tokens);
    ~StoreWriter();

    // One document at a time: begin, text once or more, end.
    void begin(SplitId split, const std::string& name);
    void text(std::string_view piece);
    void end();
    // Closes every file and writes the manifest; nothing may follow.
    Manifest finish(const std::string& split_rule);

  private:
    struct Split;

    void put(const std::vector<std::int32_t>& ids);
    void close_shard(Split& split);

    const OutputFolder& folder_;
    const Tokenizer& tokenizer_;
    Manifest manifest_;
    std::vector<Split> splits_;
    OutputFile index_;
    // The open document.
    SplitId open_ = SplitId::train;
    std::string name_;
    std::unique_ptr<Encoder> encoder_;
    std::int64_t first_ = 0, bytes_ = 0;
    bool between_words_ = true;
    std::vector<std::int32_t> ids_;
    std::vector<char> packed_;
};

}  // namespace data
