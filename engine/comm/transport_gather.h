#pragma once
#include "engine/comm/transport.h"

#include <span>
#include <string_view>
#include <vector>

namespace engine {

// Every rank's value, in rank order; a plain one, without padding. Collective.
template <class T>
std::vector<T> gathered(Transport& transport, std::string_view collective, const T& own) {
    std::vector<T> all(static_cast<std::size_t>(transport.size()));
    std::vector<Transport::Receive> receives;
    receives.reserve(all.size());
    for (T& each : all) receives.push_back(std::as_writable_bytes(std::span(&each, 1)));
    transport.exchange(collective, std::vector<Transport::Send>(all.size(), std::as_bytes(std::span(&own, 1))), receives);
    return all;
}

}  // namespace engine
