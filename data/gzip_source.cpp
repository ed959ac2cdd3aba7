#include "data/byte_source.h"
#include "data/error.h"

#include <vector>

#include <zlib.h>

namespace data {
namespace {

class GzipSource final : public ByteSource {
  public:
    GzipSource(std::unique_ptr<ByteSource> packed, const fs::path& path)
        : packed_(std::move(packed)), path_(path.string()), buffer_(kBlock) {
        constexpr int kGzipOnly = 16 + MAX_WBITS;
        if (inflateInit2(&stream_, kGzipOnly) != Z_OK) throw std::bad_alloc();
    }
    ~GzipSource() override { inflateEnd(&stream_); }

    std::size_t read(char* to, std::size_t count) override {
        stream_.next_out = reinterpret_cast<Bytef*>(to);
        stream_.avail_out = static_cast<uInt>(std::min<std::size_t>(count, 1u << 30));
        uInt wanted = stream_.avail_out;
        while (stream_.avail_out == wanted && wanted > 0) {
            if (!refill()) {
                expect(!open_member_, "gzip", "{} is truncated: it ends within a member; hint: fetch it again", path_);
                expect(any_member_, "gzip", "{} is empty: expected a gzip member", path_);
                return 0;
            }
            if (!open_member_ && any_member_ && skip_zeros()) continue;
            open_member_ = any_member_ = true;
            int state = inflate(&stream_, Z_NO_FLUSH);
            if (state == Z_STREAM_END) {
                open_member_ = false;
                inflateReset(&stream_);
            } else if (state != Z_OK && state != Z_BUF_ERROR) {
                fail("gzip", "{} is damaged: {}", path_, stream_.msg != nullptr ? stream_.msg : "no gzip data");
            }
        }
        return wanted - stream_.avail_out;
    }

  private:
    // False at the end of the packed bytes.
    bool refill() {
        if (stream_.avail_in > 0) return true;
        stream_.next_in = reinterpret_cast<Bytef*>(buffer_.data());
        stream_.avail_in = static_cast<uInt>(packed_->read(buffer_.data(), buffer_.size()));
        return stream_.avail_in > 0;
    }

    // Tapes and some archivers pad with zeros behind the last member. True if nothing is left in the buffer.
    bool skip_zeros() {
        for (; stream_.avail_in > 0 && *stream_.next_in == 0; --stream_.avail_in) ++stream_.next_in;
        return stream_.avail_in == 0;
    }

    std::unique_ptr<ByteSource> packed_;
    std::string path_;
    std::vector<char> buffer_;
    z_stream stream_{};
    bool open_member_ = false, any_member_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> unpack_gzip(std::unique_ptr<ByteSource> packed, const fs::path& path) {
    return std::make_unique<GzipSource>(std::move(packed), path);
}

}  // namespace data
