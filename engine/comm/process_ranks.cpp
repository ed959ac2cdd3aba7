#include "engine/base/visit.h"
#include "engine/comm/shares.h"
#include "engine/comm/transport.h"
#include "engine/kernels/elementwise.h"

#include <algorithm>
#include <cstring>

namespace engine {
namespace {

// Elements of a slice: what one rank sums of a bucket. The slices of all ranks stay in a core's cache.
constexpr Size kSlice = Size{1} << 17;

std::size_t index(int rank) { return static_cast<std::size_t>(rank); }

// A tensor's elements without the padding between its rows: where they lie, or a copy of them.
class Packed {
  public:
    explicit Packed(const Tensor& tensor)
        : tensor_(tensor), row_(static_cast<std::size_t>(tensor.shape().columns() * element_bytes(tensor.dtype()))) {
        if (!tensor_.is_packed()) copied_.resize(row_ * static_cast<std::size_t>(tensor.shape().rows()));
    }
    std::byte* data() { return tensor_.is_packed() ? static_cast<std::byte*>(tensor_.address()) : copied_.data(); }
    std::size_t bytes() const { return row_ * static_cast<std::size_t>(tensor_.shape().rows()); }
    void read() {
        for_rows([&](std::byte* packed, std::byte* row) { std::memcpy(packed, row, row_); });
    }
    void write_back() {
        for_rows([&](std::byte* packed, std::byte* row) { std::memcpy(row, packed, row_); });
    }

  private:
    template <class Body>
    void for_rows(Body body) {
        if (tensor_.is_packed()) return;
        std::size_t stride = static_cast<std::size_t>(tensor_.row_stride() * element_bytes(tensor_.dtype()));
        for (std::size_t r = 0; r * row_ < copied_.size(); ++r) {
            body(copied_.data() + r * row_, static_cast<std::byte*>(tensor_.address()) + r * stride);
        }
    }

    Tensor tensor_;
    std::size_t row_;
    std::vector<std::byte> copied_;
};

// Rows [first, last), sums of the subtrees of a node of `shards` leaves, into the first of them.
template <class D, class T>
void tree_of_rows(Exec& exec, Rows<T> rows, int first, int last, int shards) {
    if (last - first == 1) return;
    LeftChild left = left_child(shards, last - first);
    tree_of_rows<D, T>(exec, rows, first, first + left.ranks, left.shards);
    tree_of_rows<D, T>(exec, rows, first + left.ranks, last, shards - left.shards);
    kernels::add_into<D, T>(exec, rows.slice(first, 1), rows.slice(first + left.ranks, 1));
}

class ProcessRanks final : public Communicator {
  public:
    explicit ProcessRanks(Transport& transport) : transport_(transport) {}
    int rank() const override { return transport_.rank(); }
    int size() const override { return transport_.size(); }

    void all_gather(Exec& exec, const Tensor& whole, const Tensor& part) override {
        check_device(exec);
        Packed from(part), to(whole);
        from.read();
        share("all_gather", {from.data(), from.bytes()}, to.data());
        to.write_back();
    }

    // Bucket by bucket: every rank sends slice q to rank q, which sums it along the tree and sends the sum to all. What a rank sends is
    // 2·(n−1)/n of the tensor, whatever n; a bucket's slices are all the memory that it takes.
    void tree_sum(Exec& exec, const Tensor& sum) override {
        check_device(exec);
        Packed packed(sum);
        packed.read();
        visit(exec, sum.dtype(), [&]<class D, class T>(On<D, T>) {
            T* values = reinterpret_cast<T*>(packed.data());
            Size count = static_cast<Size>(packed.bytes() / sizeof(T)), bucket = kSlice * size();
            for (Size first = 0; first < count; first += bucket) sum_bucket<D, T>(exec, values + first, std::min(bucket, count - first));
        });
        packed.write_back();
    }

    bool any(bool here) override {
        std::byte own{here};
        std::vector<std::byte> all(index(size()));
        share("any", {&own, 1}, all.data());
        return std::any_of(all.begin(), all.end(), [](std::byte b) { return b != std::byte{0}; });
    }

  private:
    void check_device(const Exec& exec) const {
        expect(exec.device.on_host(), "ranks", "ranks that are processes run on the CPU; hint: --set train.device=cpu");
    }
    // Each rank's bytes to all, in rank order.
    void share(std::string_view collective, Transport::Send own, std::byte* whole) {
        std::vector<Transport::Send> sends(index(size()), own);
        std::vector<Transport::Receive> receives;
        for (int r = 0; r < size(); ++r) receives.emplace_back(whole + index(r) * own.size(), own.size());
        transport_.exchange(collective, sends, receives);
    }
    template <class D, class T>
    void sum_bucket(Exec& exec, T* values, Size count) {
        Size slice = (count + size() - 1) / size();
        auto begin = [&](int r) { return std::min(count, r * slice); };
        auto part = [&](int r) { return std::as_writable_bytes(std::span<T>(values + begin(r), values + begin(r + 1))); };
        Size own = begin(rank() + 1) - begin(rank());
        Tensor parts(exec, {size(), std::max<Size>(1, own)}, dtype_of<T>());
        Rows<T> rows = parts.rows<T>();
        std::vector<Transport::Send> sends;
        std::vector<Transport::Receive> receives;
        for (int r = 0; r < size(); ++r) {
            sends.emplace_back(part(r));
            receives.push_back(std::as_writable_bytes(std::span<T>(rows.data + r * rows.stride, static_cast<std::size_t>(own))));
        }
        transport_.exchange("tree_sum", sends, receives);
        if (own > 0) tree_of_rows<D, T>(exec, rows, 0, size(), pass_shards(exec));
        sends.assign(index(size()), receives[0]);
        for (int r = 0; r < size(); ++r) receives[index(r)] = part(r);
        transport_.exchange("tree_sum", sends, receives);
    }

    Transport& transport_;
};

}  // namespace

std::unique_ptr<Communicator> process_ranks(Transport& transport) { return std::make_unique<ProcessRanks>(transport); }

}  // namespace engine
