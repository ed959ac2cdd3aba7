#pragma once
// Text to ids and back. A kind of tokenizer is a class behind this interface and a row in tokenizer.cpp's table.
#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace data {

// One document on its way to ids. Pieces may end anywhere, also inside a character or a word.
class Encoder {
  public:
    virtual ~Encoder() = default;
    // Appends the ids that are certain by now.
    virtual void encode(std::string_view piece, std::vector<std::int32_t>& ids) = 0;
    // Appends the rest. Then the next document may begin.
    virtual void finish(std::vector<std::int32_t>& ids) = 0;
};

class Tokenizer {
  public:
    virtual ~Tokenizer() = default;
    virtual std::string name() const = 0;
    // Ids are 0 … vocab − 1.
    virtual std::int32_t vocab() const = 0;
    // Stands between documents, where there is one.
    virtual std::optional<std::int32_t> separator() const { return std::nullopt; }
    virtual std::unique_ptr<Encoder> encoder() const = 0;
    // Appends the text of the ids. Throws where an id is outside the vocabulary.
    virtual void decode(std::span<const std::int32_t> ids, std::string& text) const = 0;
    // What load_tokenizer needs; "name" and "vocab" are part of it.
    virtual nlohmann::json description() const = 0;

    // A whole document.
    std::vector<std::int32_t> encode(std::string_view text) const;
    std::string decode(std::span<const std::int32_t> ids) const;
};

using SeenBytes = std::array<bool, 256>;

// The names that make_tokenizer knows, in the order of its table.
std::vector<std::string> tokenizer_names();
// For a text in which the given bytes occur. Throws for an unknown name.
std::unique_ptr<Tokenizer> make_tokenizer(const std::string& name, const SeenBytes& seen);
// From a description; `folder` holds the files that it names, `where` names it in errors.
std::unique_ptr<Tokenizer> load_tokenizer(const nlohmann::json& description, const std::filesystem::path& folder, const std::string& where);

}  // namespace data
