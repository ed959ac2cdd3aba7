#include "engine/comm/meeting_file.h"

#include "engine/base/error.h"
#include "engine/io/atomic_file.h"

#include <fstream>
#include <memory>
#include <random>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/stat.h>

namespace engine {
namespace {

constexpr const char* kName = "moegrad-meeting";
constexpr const char* kFirstWord = "moegrad-meeting-1";

// 128 bits of the system's.
std::string random_token() {
    std::random_device bits;
    return fmt::format("{:08x}{:08x}{:08x}{:08x}", bits(), bits(), bits(), bits());
}

bool is_link_local(const sockaddr* address) {
    return address->sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr);
}

// Of every interface that is up; the loopback's last, for machines that have no other.
std::vector<std::string> own_addresses() {
    ifaddrs* first = nullptr;
    if (getifaddrs(&first) != 0) return {"127.0.0.1"};
    std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> all(first, freeifaddrs);
    std::vector<std::string> addresses;
    for (unsigned loopback : {0u, unsigned{IFF_LOOPBACK}}) {
        for (const ifaddrs* each = first; each != nullptr; each = each->ifa_next) {
            if (each->ifa_addr == nullptr || (each->ifa_flags & IFF_UP) == 0 || (each->ifa_flags & IFF_LOOPBACK) != loopback) continue;
            int family = each->ifa_addr->sa_family;
            if ((family != AF_INET && family != AF_INET6) || is_link_local(each->ifa_addr)) continue;
            char host[NI_MAXHOST];
            socklen_t length = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
            if (getnameinfo(each->ifa_addr, length, host, sizeof host, nullptr, 0, NI_NUMERICHOST) == 0) addresses.emplace_back(host);
        }
    }
    return addresses;
}

}  // namespace

MeetingFile write_meeting(const std::filesystem::path& folder, int port) {
    MeetingFile own{.addresses = own_addresses(), .port = port, .token = random_token(), .folder = folder.string()};
    std::string text = fmt::format("{} {} {}", kFirstWord, port, own.token);
    for (const std::string& address : own.addresses) text += " " + address;
    std::error_code bad;
    std::filesystem::create_directories(folder, bad);
    expect(!bad, "ranks", "cannot make the folder to meet in: got {}: {}; hint: --init file://FOLDER, one that all ranks see and may write",
           folder.string(), bad.message());
    std::filesystem::remove(folder / (std::string(kName) + std::string(io::kPartial)));  // of a start that was killed: its mode would stay
    mode_t before = umask(077);
    try {
        io::write_file(folder / kName, text + " end\n");
    } catch (...) {
        umask(before);
        throw;
    }
    umask(before);
    return own;
}

MeetingFile read_meeting(const std::filesystem::path& folder) {
    MeetingFile found{.addresses = {}, .port = 0, .token = {}, .folder = folder.string()};
    std::ifstream file(folder / kName);
    std::string first, word;
    if (!(file >> first >> found.port >> found.token) || first != kFirstWord) return {};
    while (file >> word && word != "end" && found.addresses.size() < 64) found.addresses.push_back(word);
    return word == "end" ? found : MeetingFile{};
}

void remove_meeting(const std::filesystem::path& folder) {
    std::error_code ignored;
    std::filesystem::remove(folder / kName, ignored);
}

}  // namespace engine
