#include "data/xxh64.h"

#include "tests/support/text_files.h"

#include <cstring>

#include <doctest/doctest.h>
#include <zstd.h>

namespace {

// zstd closes a frame with the lower half of the text's XXH64.
std::uint32_t hash_of_zstd(const std::string& text) {
    std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(), ZSTD_freeCCtx);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
    std::string packed(ZSTD_compressBound(text.size()), '\0');
    std::size_t size = ZSTD_compress2(context.get(), packed.data(), packed.size(), text.data(), text.size());
    REQUIRE(!ZSTD_isError(size));
    std::uint32_t hash = 0;
    std::memcpy(&hash, packed.data() + size - sizeof hash, sizeof hash);
    return hash;
}

}  // namespace

TEST_CASE("xxh64 gives the published values and those of zstd's frames at every length") {
    CHECK(data::hex_of(data::xxh64("")) == "ef46db3751d8e999");
    CHECK(data::hex_of(data::xxh64("a")) == "d24ec4f1a98c6e5b");
    CHECK(data::hex_of(data::xxh64("abc")) == "44bc2cf5ad770999");
    for (std::size_t size = 0; size < 200; ++size) {
        std::string text = tests::some_bytes(size, size);
        CHECK(static_cast<std::uint32_t>(data::xxh64(text)) == hash_of_zstd(text));
    }
}

TEST_CASE("xxh64 of pieces is that of the whole") {
    std::string text = tests::some_bytes(1009);
    for (std::size_t piece : {1, 7, 31, 32, 33, 64, 500}) {
        data::Xxh64 hash;
        for (std::size_t at = 0; at < text.size(); at += piece) hash.add(text.data() + at, std::min(piece, text.size() - at));
        CHECK(hash.digest() == data::xxh64(text));
    }
}
