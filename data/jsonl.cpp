#include "data/documents.h"
#include "data/error.h"

#include <cstring>
#include <nlohmann/json.hpp>

namespace data {
namespace {

using nlohmann::json;

// Keeps the string "text" of the outermost object and builds nothing else.
class TextReader final : public nlohmann::json_sax<json> {
  public:
    std::string text, problem;
    bool found = false, object = false;

    bool start_object(std::size_t) override {
        object = object || depth_ == 0;
        ++depth_;
        return true;
    }
    bool key(std::string& name) override {
        wanted_ = name == "text";
        return true;
    }
    bool string(std::string& value) override {
        if (wanted_ && depth_ == 1) {
            text = std::move(value);
            found = true;
        }
        return true;
    }
    bool start_array(std::size_t) override { return ++depth_, true; }
    bool end_object() override { return --depth_, true; }
    bool end_array() override { return --depth_, true; }
    bool null() override { return true; }
    bool boolean(bool) override { return true; }
    bool number_integer(number_integer_t) override { return true; }
    bool number_unsigned(number_unsigned_t) override { return true; }
    bool number_float(number_float_t, const std::string&) override { return true; }
    bool binary(binary_t&) override { return true; }
    bool parse_error(std::size_t, const std::string&, const json::exception& error) override {
        problem = error.what();
        return false;
    }

  private:
    int depth_ = 0;
    bool wanted_ = false;
};

void read_line(std::string_view line, std::int64_t number, const std::string& name, const std::string& where, DocumentSink& sink) {
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) return;
    TextReader reader;
    bool parsed = json::sax_parse(line, &reader);
    expect(parsed, "jsonl", "{}:{} is no JSON: {}", where, number, reader.problem);
    expect(reader.found, "jsonl", "{}:{} has no string \"text\": got {}; hint: a line looks like {{\"text\": \"...\"}}", where, number,
           reader.object ? "an object without it" : "no object");
    if (reader.text.empty()) return;
    sink.begin(fmt::format("{}:{}", name, number));
    sink.text(reader.text);
    sink.end();
}

}  // namespace

void read_jsonl(ByteSource& source, const std::string& name, const std::string& where, DocumentSink& sink) {
    std::vector<char> block(kBlock);
    std::string begun;  // a line that goes on in the next block
    std::int64_t number = 1;
    while (std::size_t got = source.read(block.data(), block.size())) {
        const char *at = block.data(), *end = at + got;
        while (const char* newline = static_cast<const char*>(std::memchr(at, '\n', static_cast<std::size_t>(end - at)))) {
            begun.append(at, newline);
            read_line(begun, number++, name, where, sink);
            begun.clear();
            at = newline + 1;
            if (at == end) break;
        }
        begun.append(at, end);
    }
    read_line(begun, number, name, where, sink);
}

}  // namespace data
