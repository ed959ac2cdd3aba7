#include "engine/comm/agreement.h"

#include "engine/tensor/transfer.h"

#include <algorithm>
#include <exception>
#include <string>
#include <vector>

namespace engine {
namespace {

constexpr std::size_t kLongest = 1000;  // characters of an error that are told

std::vector<std::int32_t> gathered(Communicator& communicator, const std::vector<std::int32_t>& own) {
    Exec exec{.communicator = &communicator};
    Size count = static_cast<Size>(own.size());
    Tensor whole(exec, {communicator.size(), count}, Dtype::i32);
    communicator.all_gather(exec, whole, from_host(exec, {1, count}, Dtype::i32, own));
    return to_host<std::int32_t>(exec, whole);
}

std::string message_of(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& known) { return known.what(); } catch (...) {
        return "[ranks] an error without a message";
    }
}

}  // namespace

std::vector<std::string> texts_of_ranks(Communicator& communicator, const std::string& own) {
    std::vector<std::int32_t> lengths = gathered(communicator, std::vector<std::int32_t>{static_cast<std::int32_t>(own.size())});
    std::size_t longest = static_cast<std::size_t>(std::max(1, *std::max_element(lengths.begin(), lengths.end())));
    std::vector<std::int32_t> letters(own.begin(), own.end());
    letters.resize(longest);
    std::vector<std::int32_t> all = gathered(communicator, letters);
    std::vector<std::string> texts;
    for (std::size_t r = 0; r < lengths.size(); ++r) {
        auto begin = all.begin() + static_cast<std::ptrdiff_t>(r * longest);
        texts.emplace_back(begin, begin + lengths[r]);
    }
    return texts;
}

void agreed(Exec& exec, const std::function<void()>& action) {
    if (exec.communicator == nullptr) return action();
    std::exception_ptr own;
    try {
        action();
    } catch (...) { own = std::current_exception(); }
    if (!exec.communicator->any(own != nullptr)) return;
    std::vector<std::string> texts = texts_of_ranks(*exec.communicator, own ? message_of(own).substr(0, kLongest) : "");
    if (own) std::rethrow_exception(own);
    for (std::size_t rank = 0; rank < texts.size(); ++rank) {
        if (!texts[rank].empty()) throw OthersError(fmt::format("{} (rank {})", texts[rank], rank));
    }
}

}  // namespace engine
