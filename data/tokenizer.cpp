#include "data/tokenizer.h"

#include "data/byte_tokenizers.h"
#include "data/error.h"

#include <nlohmann/json.hpp>

namespace data {
namespace {

using nlohmann::json;

struct Kind {
    const char* name;
    std::unique_ptr<Tokenizer> (*make)(const SeenBytes& seen);
    std::unique_ptr<Tokenizer> (*load)(const json& description, const std::filesystem::path& folder, const std::string& where);
};

const std::array<Kind, 2> kKinds{
    Kind{"bytes", [](const SeenBytes&) { return all_bytes(); },
         [](const json&, const std::filesystem::path&, const std::string&) { return all_bytes(); }},
    Kind{"bytes-seen", seen_bytes,
         [](const json& description, const std::filesystem::path&, const std::string& where) {
             return load_seen_bytes(description, where);
         }},
};

const Kind& kind_of(const std::string& name, const std::string& where) {
    std::string known;
    for (const Kind& kind : kKinds) {
        if (kind.name == name) return kind;
        known += (known.empty() ? "" : " or ") + std::string(kind.name);
    }
    fail("tokenizer", "unknown tokenizer{}: got {}, expected {}", where, name, known);
}

}  // namespace

std::vector<std::int32_t> Tokenizer::encode(std::string_view text) const {
    std::vector<std::int32_t> ids;
    std::unique_ptr<Encoder> document = encoder();
    document->encode(text, ids);
    document->finish(ids);
    return ids;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids) const {
    std::string text;
    decode(ids, text);
    return text;
}

std::vector<std::string> tokenizer_names() {
    std::vector<std::string> names;
    for (const Kind& kind : kKinds) names.emplace_back(kind.name);
    return names;
}

std::unique_ptr<Tokenizer> make_tokenizer(const std::string& name, const SeenBytes& seen) { return kind_of(name, "").make(seen); }

std::unique_ptr<Tokenizer> load_tokenizer(const json& description, const std::filesystem::path& folder, const std::string& where) {
    bool whole = description.is_object() && description.contains("name") && description["name"].is_string() &&
                 description.contains("vocab") && description["vocab"].is_number_unsigned();
    expect(whole, "tokenizer", "{} is damaged: a tokenizer needs a name and a vocab", where);
    std::unique_ptr<Tokenizer> tokenizer = kind_of(description["name"].get<std::string>(), " in " + where).load(description, folder, where);
    auto vocab = description["vocab"].get<std::uint64_t>();
    expect(vocab == static_cast<std::uint64_t>(tokenizer->vocab()), "tokenizer", "{} is damaged: got vocab {}, expected {}", where, vocab,
           tokenizer->vocab());
    return tokenizer;
}

}  // namespace data
