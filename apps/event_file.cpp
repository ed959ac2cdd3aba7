#include "apps/event_file.h"

#include "engine/base/error.h"

#include <array>
#include <chrono>
#include <cstring>

namespace apps {
namespace {

// CRC-32C (Castagnoli), and TensorFlow's mask of it.
std::uint32_t masked_crc(const std::string& bytes) {
    static const std::array<std::uint32_t, 256> table = [] {
        std::array<std::uint32_t, 256> made{};
        for (std::uint32_t i = 0; i < 256; ++i) {
            std::uint32_t value = i;
            for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82f63b78u : 0u);
            made[i] = value;
        }
        return made;
    }();
    std::uint32_t crc = 0xffffffffu;
    for (unsigned char byte : bytes) crc = table[(crc ^ byte) & 255] ^ (crc >> 8);
    crc = ~crc;
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

template <class T>
std::string raw(T value) {
    std::string bytes(sizeof value, '\0');
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
}

// Protocol buffers: a field's key, then a varint, fixed bytes, or a length and bytes.
std::string varint(std::uint64_t value) {
    std::string bytes;
    for (; value >= 128; value >>= 7) bytes += static_cast<char>((value & 127) | 128);
    return bytes + static_cast<char>(value);
}
std::string text_field(int number, const std::string& text) {
    return varint(static_cast<std::uint64_t>(number) << 3 | 2) + varint(text.size()) + text;
}

// Event.wall_time = 1.
std::string wall_time() {
    double now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    return varint(1 << 3 | 1) + raw(now);
}

}  // namespace

EventFile::EventFile(const std::filesystem::path& folder) {
    auto seconds = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    std::filesystem::path path = folder / fmt::format("events.out.tfevents.{}.moegrad", seconds);
    file_.open(path, std::ios::binary | std::ios::app);
    engine::expect(file_.good(), "tensorboard", "cannot open {} for writing", path.string());
    write_record(wall_time() + text_field(3, "brain.Event:2"));
}

void EventFile::write(std::int64_t step, const std::map<std::string, double>& scalars) {
    std::string summary;
    for (const auto& [tag, value] : scalars) {
        summary += text_field(1, text_field(1, tag) + varint(2 << 3 | 5) + raw(static_cast<float>(value)));
    }
    write_record(wall_time() + varint(2 << 3) + varint(static_cast<std::uint64_t>(step)) + text_field(5, summary));
}

void EventFile::write_record(const std::string& event) {
    std::string length = raw(static_cast<std::uint64_t>(event.size()));
    file_ << length << raw(masked_crc(length)) << event << raw(masked_crc(event)) << std::flush;
    engine::expect(file_.good(), "tensorboard", "cannot write an event; hint: is the disk full?");
}

}  // namespace apps
