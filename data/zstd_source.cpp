#include "data/byte_source.h"
#include "data/error.h"

#include <vector>

#include <zstd.h>
#include <zstd_errors.h>

namespace data {
namespace {

constexpr int kWindowLog = 27;  // 128 MiB

class ZstdSource final : public ByteSource {
  public:
    ZstdSource(std::unique_ptr<ByteSource> packed, const fs::path& path)
        : packed_(std::move(packed)), path_(path.string()), context_(ZSTD_createDCtx()), buffer_(ZSTD_DStreamInSize()) {
        if (context_ == nullptr) throw std::bad_alloc();
        ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kWindowLog);
    }

    std::size_t read(char* to, std::size_t count) override {
        ZSTD_outBuffer out{to, count, 0};
        while (out.pos == 0 && count > 0) {
            if (in_.pos == in_.size) {
                in_ = {buffer_.data(), packed_->read(buffer_.data(), buffer_.size()), 0};
                if (in_.size == 0 && !open_frame_) {
                    expect(any_frame_, "zstd", "{} is empty: expected a zstd frame", path_);
                    return 0;
                }
                // What the decoder still holds comes out with no input; then a frame that goes on is one that was cut.
            }
            bool at_end = in_.size == 0;
            std::size_t state = ZSTD_decompressStream(context_.get(), &out, &in_);
            if (ZSTD_isError(state)) refuse(state);
            open_frame_ = state != 0;
            any_frame_ = true;
            expect(!at_end || out.pos > 0 || !open_frame_, "zstd", "{} is truncated: it ends within a frame; hint: fetch it again", path_);
        }
        return out.pos;
    }

  private:
    [[noreturn]] void refuse(std::size_t state) const {
        if (ZSTD_getErrorCode(state) == ZSTD_error_frameParameter_windowTooLarge) {
            fail("zstd", "{} needs a window above {} MiB; hint: pack it again with zstd --long={} or less", path_, 1 << (kWindowLog - 20),
                 kWindowLog);
        }
        fail("zstd", "{} is damaged: {}", path_, ZSTD_getErrorName(state));
    }

    struct Free {
        void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
    };
    std::unique_ptr<ByteSource> packed_;
    std::string path_;
    std::unique_ptr<ZSTD_DCtx, Free> context_;
    std::vector<char> buffer_;
    ZSTD_inBuffer in_{nullptr, 0, 0};
    bool open_frame_ = false, any_frame_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> unpack_zstd(std::unique_ptr<ByteSource> packed, const fs::path& path) {
    return std::make_unique<ZstdSource>(std::move(packed), path);
}

}  // namespace data
