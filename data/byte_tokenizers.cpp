#include "data/byte_tokenizers.h"

#include "data/error.h"

#include <nlohmann/json.hpp>
#include <numeric>

namespace data {
namespace {

constexpr const char* kAll = "bytes";
constexpr const char* kSeen = "bytes-seen";

class ByteEncoder final : public Encoder {
  public:
    explicit ByteEncoder(const std::array<std::int32_t, 256>& id_of) : id_of_(id_of) {}

    void encode(std::string_view piece, std::vector<std::int32_t>& ids) override {
        std::size_t first = ids.size();
        ids.resize(first + piece.size());
        std::int32_t* id = ids.data() + first;
        std::int32_t unseen = 0;
        for (char byte : piece) unseen |= * id++ = id_of_[static_cast<unsigned char>(byte)];
        if (unseen < 0) [[unlikely]] { refuse(piece); }
    }
    void finish(std::vector<std::int32_t>&) override {}

  private:
    [[noreturn]] void refuse(std::string_view piece) const {
        for (char byte : piece) {
            if (id_of_[static_cast<unsigned char>(byte)] >= 0) continue;
            fail(kSeen, "a byte that the prepared text does not hold: got 0x{:02x}; hint: --tokenizer bytes takes any byte",
                 static_cast<unsigned char>(byte));
        }
        fail(kSeen, "no byte is unseen");
    }

    std::array<std::int32_t, 256> id_of_;
};

}  // namespace

ByteTokenizer::ByteTokenizer(std::string name, std::vector<unsigned char> bytes) : name_(std::move(name)), bytes_(std::move(bytes)) {
    id_of_.fill(-1);
    for (std::size_t id = 0; id < bytes_.size(); ++id) id_of_[bytes_[id]] = static_cast<std::int32_t>(id);
}

std::unique_ptr<Encoder> ByteTokenizer::encoder() const { return std::make_unique<ByteEncoder>(id_of_); }

void ByteTokenizer::decode(std::span<const std::int32_t> ids, std::string& text) const {
    for (std::int32_t id : ids) {
        expect(id >= 0 && id < vocab(), name_, "id outside the vocabulary: got {}, expected 0 to {}", id, vocab() - 1);
        text.push_back(static_cast<char>(bytes_[static_cast<std::size_t>(id)]));
    }
}

nlohmann::json ByteTokenizer::description() const {
    nlohmann::json description{{"name", name_}, {"vocab", vocab()}};
    if (name_ == kSeen) description["bytes"] = bytes_;
    return description;
}

std::unique_ptr<Tokenizer> all_bytes() {
    std::vector<unsigned char> bytes(256);
    std::iota(bytes.begin(), bytes.end(), static_cast<unsigned char>(0));
    return std::make_unique<ByteTokenizer>(kAll, std::move(bytes));
}

std::unique_ptr<Tokenizer> seen_bytes(const SeenBytes& seen) {
    std::vector<unsigned char> bytes;
    for (std::size_t byte = 0; byte < seen.size(); ++byte) {
        if (seen[byte]) bytes.push_back(static_cast<unsigned char>(byte));
    }
    expect(!bytes.empty(), kSeen, "the text is empty: got no byte");
    return std::make_unique<ByteTokenizer>(kSeen, std::move(bytes));
}

std::unique_ptr<Tokenizer> load_seen_bytes(const nlohmann::json& description, const std::string& where) {
    SeenBytes seen{};
    int last = -1;
    bool whole = description.contains("bytes") && description["bytes"].is_array() && !description["bytes"].empty();
    for (const auto& byte : whole ? description["bytes"] : nlohmann::json::array()) {
        whole = whole && byte.is_number_unsigned() && byte.get<std::uint64_t>() < 256 && byte.get<int>() > last;
        if (!whole) break;
        last = byte.get<int>();
        seen[static_cast<std::size_t>(last)] = true;
    }
    expect(whole, "tokenizer", "{} is damaged: expected \"bytes\", an ascending list of bytes", where);
    return seen_bytes(seen);
}

}  // namespace data
