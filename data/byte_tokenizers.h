#pragma once
#include "data/tokenizer.h"

namespace data {

// Ids stand for single bytes. `bytes`: id = byte, V = 256. `bytes-seen`: id = rank among the sorted bytes that occur in the text.
class ByteTokenizer final : public Tokenizer {
  public:
    // `bytes` strictly ascending, at least one.
    ByteTokenizer(std::string name, std::vector<unsigned char> bytes);

    std::string name() const override { return name_; }
    std::int32_t vocab() const override { return static_cast<std::int32_t>(bytes_.size()); }
    std::unique_ptr<Encoder> encoder() const override;
    using Tokenizer::decode;
    void decode(std::span<const std::int32_t> ids, std::string& text) const override;
    nlohmann::json description() const override;

  private:
    std::string name_;
    std::vector<unsigned char> bytes_;
    std::array<std::int32_t, 256> id_of_;  // −1: not seen
};

std::unique_ptr<Tokenizer> all_bytes();
std::unique_ptr<Tokenizer> seen_bytes(const SeenBytes& seen);
std::unique_ptr<Tokenizer> load_seen_bytes(const nlohmann::json& description, const std::string& where);

}  // namespace data
