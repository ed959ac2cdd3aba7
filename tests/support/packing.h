#pragma once
// Packs texts as zstd, gzip and tar do.
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <zlib.h>
#include <zstd.h>

namespace tests {

// One frame that declares a window of 2^window_log bytes and does not tell its size beforehand.
inline std::string zstd_packed(const std::string& text, int window_log = 20) {
    std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(), ZSTD_freeCCtx);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_windowLog, window_log);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
    std::string packed(ZSTD_compressBound(text.size()) + 64, '\0');
    ZSTD_outBuffer out{packed.data(), packed.size(), 0};
    for (ZSTD_EndDirective how : {ZSTD_e_continue, ZSTD_e_end}) {
        ZSTD_inBuffer in{text.data(), how == ZSTD_e_continue ? text.size() : 0, 0};
        if (ZSTD_compressStream2(context.get(), &out, &in, how) != 0 && how == ZSTD_e_end) throw std::runtime_error("zstd");
    }
    packed.resize(out.pos);
    return packed;
}

inline std::string gzip_packed(const std::string& text) {
    z_stream stream{};
    deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    std::string packed(deflateBound(&stream, text.size()) + 64, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(packed.data());
    stream.avail_out = static_cast<uInt>(packed.size());
    if (deflate(&stream, Z_FINISH) != Z_STREAM_END) throw std::runtime_error("gzip");
    packed.resize(stream.total_out);
    deflateEnd(&stream);
    return packed;
}

inline std::string octal_digits(std::uint64_t value, int digits) {
    std::string field(static_cast<std::size_t>(digits), '0');
    for (int i = digits - 1; i >= 0; --i, value /= 8) field[static_cast<std::size_t>(i)] = static_cast<char>('0' + value % 8);
    return field;
}

// Sets the checksum of the header that the text begins with.
inline void seal_tar_header(std::string& text) {
    text.replace(148, 8, 8, ' ');
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(text[i]);
    text.replace(148, 8, octal_digits(sum, 6) + std::string("\0 ", 2));
}

// A ustar header and its contents, filled up to whole records.
inline std::string tar_member(const std::string& name, const std::string& text, char kind = '0') {
    std::string header(512, '\0');
    auto put = [&](std::size_t at, const std::string& field) { header.replace(at, field.size(), field); };
    put(0, name.substr(0, 100));
    put(100, "0000644");
    put(124, octal_digits(text.size(), 11));
    header[156] = kind;
    put(257, std::string("ustar\00000", 8));
    seal_tar_header(header);
    return header + text + std::string((512 - text.size() % 512) % 512, '\0');
}

inline std::string tar_end() { return std::string(1024, '\0'); }

}  // namespace tests
