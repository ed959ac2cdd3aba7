#include "engine/base/error.h"
#include "engine/comm/transport.h"
#include "engine/comm/transport_gather.h"

#include <algorithm>
#include <cstring>
#include <map>

namespace engine {
namespace {

// A tensor's elements without the padding between its rows: where they lie, or a copy of them.
class Packed {
  public:
    explicit Packed(const Tensor& tensor) : tensor_(tensor) {
        if (!tensor.defined()) return;
        row_ = static_cast<std::size_t>(tensor.shape().columns() * element_bytes(tensor.dtype()));
        if (!tensor.is_packed()) copied_.resize(row_ * static_cast<std::size_t>(tensor.shape().rows()));
    }
    std::span<std::byte> bytes() {
        if (!tensor_.defined()) return {};
        if (!tensor_.is_packed()) return copied_;
        return {static_cast<std::byte*>(tensor_.address()), row_ * static_cast<std::size_t>(tensor_.shape().rows())};
    }
    void read() {
        for_rows([&](std::byte* packed, std::byte* row) { std::memcpy(packed, row, row_); });
    }
    void write_back() {
        for_rows([&](std::byte* packed, std::byte* row) { std::memcpy(row, packed, row_); });
    }

  private:
    template <class Body>
    void for_rows(Body body) {
        if (copied_.empty()) return;
        std::size_t stride = static_cast<std::size_t>(tensor_.row_stride() * element_bytes(tensor_.dtype()));
        for (std::size_t r = 0; r * row_ < copied_.size(); ++r) {
            body(copied_.data() + r * row_, static_cast<std::byte*>(tensor_.address()) + r * stride);
        }
    }

    Tensor tensor_;
    std::size_t row_ = 0;
    std::vector<std::byte> copied_;
};

class ProcessRanks final : public Communicator {
  public:
    explicit ProcessRanks(Transport& transport) : transport_(transport) {}
    int rank() const override { return transport_.rank(); }
    int size() const override { return transport_.size(); }

    void exchange(Exec& exec, std::string_view collective, const std::vector<Tensor>& sends, const std::vector<Tensor>& receives) override {
        end_exchange(exec, begin_exchange(exec, collective, sends, receives));
    }
    Ticket begin_exchange(Exec& exec, std::string_view collective, const std::vector<Tensor>& sends,
                          const std::vector<Tensor>& receives) override {
        expect(exec.device.on_host(), "ranks", "ranks that are processes run on the CPU; hint: --set train.device=cpu");
        std::vector<Packed> from, to;
        std::vector<Transport::Send> outgoing;
        std::vector<Transport::Receive> incoming;
        from.reserve(sends.size());
        for (std::size_t r = 0; r < sends.size(); ++r) {
            bool as_before = r > 0 && sends[r].defined() && sends[r - 1].defined() && sends[r].address() == sends[r - 1].address() &&
                             sends[r].shape() == sends[r - 1].shape();
            if (!as_before) from.emplace_back(sends[r]).read();
            outgoing.push_back(from.back().bytes());
            to.emplace_back(receives[r]);
        }
        for (Packed& each : to) incoming.push_back(each.bytes());
        Ticket ticket = transport_.begin(collective, outgoing, incoming);
        kept_.emplace(ticket, Kept{std::move(from), std::move(to)});
        return ticket;
    }
    void end_exchange(Exec&, Ticket ticket) override {
        transport_.end(ticket);
        auto kept = kept_.extract(ticket);
        for (Packed& each : kept.mapped().to) each.write_back();
    }
    void advance() override { transport_.advance(); }

    bool any(bool here) override {
        std::vector<std::uint8_t> all = gathered(transport_, "any", static_cast<std::uint8_t>(here));
        return std::ranges::any_of(all, [](std::uint8_t each) { return each != 0; });
    }

  private:
    struct Kept {
        std::vector<Packed> from, to;
    };
    Transport& transport_;
    std::map<Ticket, Kept> kept_;  // of what is under way
};

}  // namespace

std::unique_ptr<Communicator> process_ranks(Transport& transport) { return std::make_unique<ProcessRanks>(transport); }

}  // namespace engine
