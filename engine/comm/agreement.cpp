#include "engine/comm/agreement.h"

#include "engine/base/error.h"
#include "engine/tensor/transfer.h"

#include <algorithm>
#include <exception>
#include <string>
#include <vector>

namespace engine {
namespace {

// What a rank says, as a row of characters; empty: nothing to say.
constexpr std::size_t kLongest = 1000;

std::vector<std::int32_t> characters(const std::string& text) {
    std::vector<std::int32_t> row(kLongest, 0);
    std::copy_n(text.begin(), std::min(text.size(), kLongest), row.begin());
    return row;
}

std::string text_of(const std::vector<std::int32_t>& rows, int rank) {
    std::string text;
    for (std::size_t i = 0; i < kLongest; ++i) {
        auto character = static_cast<char>(rows[static_cast<std::size_t>(rank) * kLongest + i]);
        if (character == 0) break;
        text += character;
    }
    return text;
}

std::string message_of(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& known) { return known.what(); } catch (...) {
        return "[ranks] an error without a message";
    }
}

}  // namespace

void agreed(Exec& exec, const std::function<void()>& action) {
    if (exec.communicator == nullptr) return action();
    std::exception_ptr own;
    try {
        action();
    } catch (...) { own = std::current_exception(); }
    if (!exec.communicator->any(own != nullptr)) return;
    // On the host: a device may be what failed.
    Exec host{.communicator = exec.communicator};
    Tensor all(host, {exec.communicator->size(), static_cast<Size>(kLongest)}, Dtype::i32);
    Tensor row = from_host(host, {1, static_cast<Size>(kLongest)}, Dtype::i32, characters(own ? message_of(own) : ""));
    exec.communicator->all_gather(host, all, row);
    if (own) std::rethrow_exception(own);
    std::vector<std::int32_t> rows = to_host<std::int32_t>(host, all);
    for (int rank = 0; rank < exec.communicator->size(); ++rank) {
        std::string text = text_of(rows, rank);
        if (!text.empty()) throw Error(fmt::format("{} (rank {})", text, rank));
    }
}

}  // namespace engine
