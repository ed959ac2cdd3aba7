#include "apps/rank_meeting.h"

#include "engine/base/error.h"
#include "nn/options.h"

#include <cctype>
#include <charconv>

namespace apps {

using engine::expect;

namespace {

constexpr std::string_view kTcp = "tcp://", kFile = "file://";

[[noreturn]] void refuse(const std::string& init, const char* why) {
    throw engine::UsageError(
        fmt::format("[usage] --init says no place to meet: got {}, {}; hint: tcp://HOST:PORT of rank 0, or "
                    "file://FOLDER that all ranks see",
                    nn::option_text(init), why));
}

// A number of a host's brackets: its digits, leading zeros and all.
std::string_view leading_digits(std::string_view text) {
    std::size_t count = 0;
    while (count < text.size() && std::isdigit(static_cast<unsigned char>(text[count])) != 0) ++count;
    return text.substr(0, count);
}

}  // namespace

engine::TcpMeeting meeting_at(const std::string& init) {
    engine::TcpMeeting meeting;
    if (init.starts_with(kFile)) {
        meeting.folder = init.substr(kFile.size());
        if (meeting.folder.empty()) refuse(init, "no folder");
        return meeting;
    }
    if (!init.starts_with(kTcp)) refuse(init, "neither tcp:// nor file://");
    std::string place = init.substr(kTcp.size());
    std::size_t colon = place.rfind(':');
    if (colon == std::string::npos || colon == 0) refuse(init, "no host or no port");
    meeting.host = place.substr(0, colon);
    if (meeting.host.front() == '[' && meeting.host.back() == ']') {
        meeting.host = meeting.host.substr(1, meeting.host.size() - 2);
    } else if (meeting.host.find(':') != std::string::npos) {
        refuse(init, "an address of IPv6 without brackets");
    }
    const char* end = place.data() + place.size();
    auto [read, error] = std::from_chars(place.data() + colon + 1, end, meeting.port);
    if (meeting.host.empty() || error != std::errc() || read != end || meeting.port < 1 || meeting.port > 65535)
        refuse(init, "no such port");
    return meeting;
}

std::string told_place(const engine::TcpMeeting& meeting) {
    if (!meeting.folder.empty()) return meeting.folder.string();
    bool six = meeting.host.find(':') != std::string::npos;
    return fmt::format("{}{}{}:{}", six ? "[" : "", meeting.host, six ? "]" : "", meeting.port);
}

std::string first_slurm_host(const std::string& list) {
    auto refuse_list = [&] {
        engine::fail("ranks",
                     "Slurm's list of nodes has no first one: got {}, expected like n1,n[2-5]; hint: --rank, --world and --init do without",
                     nn::option_text(list));
    };
    std::string host;
    std::string_view left = list;
    while (!left.empty() && left.front() != ',') {
        char c = left.front();
        left.remove_prefix(1);
        if (c != '[') {
            if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-' && c != '.' && c != '_') refuse_list();
            host += c;
            continue;
        }
        std::string_view first = leading_digits(left);
        std::size_t close = left.find(']');
        if (first.empty() || close == std::string_view::npos) refuse_list();
        if (left.substr(0, close).find_first_not_of("0123456789,-") != std::string_view::npos) refuse_list();
        host += first;
        left.remove_prefix(close + 1);
    }
    if (host.empty()) refuse_list();
    return host;
}

int port_of_job(long long job, long long step) {
    constexpr long long kFirst = 10'000, kCount = 20'000;
    return static_cast<int>(kFirst + (job % kCount * 257 + step % kCount) % kCount);
}

}  // namespace apps
