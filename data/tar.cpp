// POSIX ustar and pax archives, GNU's long names and large sizes. Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header
// Block"; GNU tar manual, "Basic Tar Format".
#include "data/documents.h"
#include "data/error.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace data {
namespace {

constexpr std::size_t kRecord = 512;
constexpr std::int64_t kLongestName = 1 << 20;
using Record = std::array<char, kRecord>;

std::string_view text_field(const Record& record, std::size_t first, std::size_t count) {
    std::string_view field(record.data() + first, count);
    return field.substr(0, std::min(field.find('\0'), count));
}

// Octal digits, or big-endian binary where the first bit is set. −1: neither.
std::int64_t number_field(const Record& record, std::size_t first, std::size_t count) {
    std::string_view field(record.data() + first, count);
    std::int64_t value = 0;
    if ((static_cast<unsigned char>(field[0]) & 0x80u) != 0) {
        for (std::size_t i = 1; i < count; ++i) {
            if (value >> 54 != 0) return -1;
            value = value << 8 | static_cast<unsigned char>(field[i]);
        }
        return field[0] == '\x80' ? value : -1;
    }
    field.remove_prefix(std::min(field.find_first_not_of(' '), count));
    for (char digit : field) {
        if (digit == ' ' || digit == '\0') break;
        if (digit < '0' || digit > '7' || value >> 54 != 0) return -1;
        value = value * 8 + (digit - '0');
    }
    return value;
}

bool checksum_fits(const Record& record) {
    std::int64_t sum = 8 * ' ';  // the checksum's own field counts as blanks
    for (std::size_t i = 0; i < kRecord; ++i) sum += i >= 148 && i < 156 ? 0 : static_cast<unsigned char>(record[i]);
    return number_field(record, 148, 8) == sum;
}

bool hidden_member(std::string_view path) {
    for (std::size_t at = 0; at < path.size();) {
        std::size_t end = std::min(path.find('/', at), path.size());
        std::string_view part = path.substr(at, end - at);
        if (part.starts_with(".") && part != "." && part != "..") return true;
        at = end + 1;
    }
    return false;
}

class TarReader {
  public:
    TarReader(ByteSource& source, const std::string& where, DocumentSink& sink) : source_(source), where_(where), sink_(sink) {}

    void run() {
        Record record;
        while (next(record)) {
            expect(checksum_fits(record), "tar", "{} is damaged: the header of member {} has a wrong checksum", where_, members_ + 1);
            std::int64_t size = number_field(record, 124, 12);
            expect(size >= 0, "tar", "{} is damaged: member {} has no size", where_, members_ + 1);
            char kind = record[156];
            if (kind == 'L') {
                long_name_ = small(size);
                long_name_.resize(std::min(long_name_.find('\0'), long_name_.size()));
            } else if (kind == 'x') {
                read_pax(small(size));
            } else if (kind == 'g' || kind == 'K') {
                skip(size);
            } else {
                member(record, kind, pax_size_ >= 0 ? pax_size_ : size);
                long_name_.clear();
                pax_size_ = -1;
            }
        }
    }

  private:
    // The next header; false at the record of zeros that ends an archive.
    bool next(Record& record) {
        std::size_t got = read_fully(source_, record.data(), kRecord);
        expect(got == kRecord, "tar", "{} is truncated: it ends after {} members without its closing record; hint: fetch it again", where_,
               members_);
        if (std::any_of(record.begin(), record.end(), [](char byte) { return byte != '\0'; })) return true;
        // Read on, so that a damaged end of the packed file is found.
        std::vector<char> rest(kBlock);
        while (source_.read(rest.data(), rest.size()) > 0) {}
        return false;
    }

    void member(const Record& record, char kind, std::int64_t size) {
        ++members_;
        expect(kind != 'S', "tar", "{}: member {} is a sparse file, which is not read; hint: pack it without -S", where_, members_);
        std::string name = long_name_;
        if (name.empty()) {
            std::string_view prefix = text_field(record, 345, 155), rest = text_field(record, 0, 100);
            bool ustar = text_field(record, 257, 6) == "ustar";
            name = ustar && !prefix.empty() ? fmt::format("{}/{}", prefix, rest) : std::string(rest);
        }
        while (name.starts_with("./")) name.erase(0, 2);
        bool regular = (kind == '0' || kind == '\0' || kind == '7') && !name.ends_with("/");
        if (!regular || hidden_member(name) || size == 0) return skip(size);
        sink_.begin(name);
        each_piece(size, [this](std::string_view piece) { sink_.text(piece); });
        sink_.end();
    }

    // "LENGTH KEY=VALUE\n", again and again.
    void read_pax(std::string_view text) {
        while (!text.empty()) {
            std::size_t length = 0;
            auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
            std::size_t digits = static_cast<std::size_t>(end - text.data());
            bool whole = error == std::errc() && length > digits + 1 && length <= text.size() && text[length - 1] == '\n';
            expect(whole, "tar", "{} is damaged: member {} has a broken extended header", where_, members_ + 1);
            std::string_view entry = text.substr(digits + 1, length - digits - 2);
            if (entry.starts_with("path=")) long_name_ = entry.substr(5);
            if (entry.starts_with("size=")) {
                auto parsed = std::from_chars(entry.data() + 5, entry.data() + entry.size(), pax_size_);
                expect(parsed.ec == std::errc() && pax_size_ >= 0, "tar", "{} is damaged: member {} has no size", where_, members_ + 1);
            }
            expect(!entry.starts_with("GNU.sparse."), "tar", "{}: member {} is a sparse file, which is not read; hint: pack it without -S",
                   where_, members_ + 1);
            text.remove_prefix(length);
        }
    }

    std::string small(std::int64_t size) {
        expect(size <= kLongestName, "tar", "{} is damaged: a name of {} bytes", where_, size);
        std::string text;
        each_piece(size, [&](std::string_view piece) { text += piece; });
        return text;
    }

    void skip(std::int64_t size) {
        each_piece(size, [](std::string_view) {});
    }

    // `size` bytes, then what fills their last record.
    template <class Take>
    void each_piece(std::int64_t size, Take&& take) {
        for (std::int64_t left = size; left > 0;) {
            std::size_t wanted = static_cast<std::size_t>(std::min<std::int64_t>(left, kBlock));
            std::size_t got = source_.read(block_.data(), wanted);
            expect(got > 0, "tar", "{} is truncated: it ends within member {}; hint: fetch it again", where_, members_);
            take(std::string_view(block_.data(), got));
            left -= static_cast<std::int64_t>(got);
        }
        std::size_t fill = (kRecord - static_cast<std::size_t>(size) % kRecord) % kRecord;
        expect(read_fully(source_, block_.data(), fill) == fill, "tar", "{} is truncated: it ends within member {}; hint: fetch it again",
               where_, members_);
    }

    ByteSource& source_;
    const std::string& where_;
    DocumentSink& sink_;
    std::vector<char> block_ = std::vector<char>(kBlock);
    std::string long_name_;
    std::int64_t pax_size_ = -1, members_ = 0;
};

}  // namespace

void read_tar(ByteSource& source, const std::string& where, DocumentSink& sink) { TarReader(source, where, sink).run(); }

}  // namespace data
