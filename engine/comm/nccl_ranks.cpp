#include "engine/comm/nccl_ranks.h"

#include "engine/comm/gpu_place.h"
#include "engine/comm/nccl_comm.h"
#include "engine/cuda/runtime.h"
#include "engine/tensor/transfer.h"

namespace engine {
namespace {

bool is_empty(const Tensor& tensor) { return !tensor.defined() || tensor.shape().elements() == 0; }

std::size_t bytes_of(const Tensor& tensor) { return static_cast<std::size_t>(tensor.shape().elements() * element_bytes(tensor.dtype())); }

int type_of(Dtype dtype) {
    switch (dtype) {
        case Dtype::f32:
            return nccl::kFloat32;
        case Dtype::f64:
            return nccl::kFloat64;
        case Dtype::bf16:
            return nccl::kBfloat16;
        case Dtype::i32:
            return nccl::kInt32;
        case Dtype::i64:
            return nccl::kInt64;
    }
    return nccl::kBytes;
}

// The tensor, or one of its shape without padding between the rows.
Tensor packed_like(Exec& exec, const Tensor& tensor) {
    return tensor.is_packed() ? tensor : packed_tensor(exec, tensor.shape(), tensor.dtype());
}

class NcclRanks final : public Communicator {
  public:
    NcclRanks(Transport& transport, Device device, double patience, const nccl::Library& nccl)
        : nccl_(nccl), device_(device), host_(process_ranks(transport)), comm_(nccl, transport, device, patience) {
        cuda::set_wait_check([this] { comm_.check(); });
        if (!device.on_host()) side_stream_.reset(cuda::make_stream());
    }
    ~NcclRanks() override { cuda::set_wait_check({}); }

    int rank() const override { return host_->rank(); }
    int size() const override { return host_->size(); }

    void exchange(Exec& exec, std::string_view collective, const std::vector<Tensor>& sends, const std::vector<Tensor>& receives) override {
        if (exec.device != device_) return host_->exchange(exec, collective, sends, receives);
        std::vector<Tensor> from(sends.size()), to(sends.size());
        for (std::size_t r = 0; r < sends.size(); ++r) {
            if (static_cast<int>(r) == rank()) {
                bool moves = !is_empty(sends[r]) && sends[r].address() != receives[r].address();
                if (moves) copy(exec, receives[r], sends[r]);
                continue;
            }
            if (!is_empty(sends[r])) from[r] = packed(exec, sends, from, r);
            if (!is_empty(receives[r])) to[r] = packed_like(exec, receives[r]);
        }
        comm_.group(collective, exec.stream, [&](nccl::Comm comm) {
            int result = nccl::kSuccess;
            auto add = [&](int own) { result = result == nccl::kSuccess || result == nccl::kInProgress ? own : result; };
            for (int r = 0; r < size(); ++r) {
                const Tensor &out = from[static_cast<std::size_t>(r)], &in = to[static_cast<std::size_t>(r)];
                if (out.defined()) add(nccl_.send(out.address(), bytes_of(out), nccl::kBytes, r, comm, exec.stream));
                if (in.defined()) add(nccl_.receive(in.address(), bytes_of(in), nccl::kBytes, r, comm, exec.stream));
            }
            return result;
        });
        for (std::size_t r = 0; r < to.size(); ++r) {
            if (to[r].defined() && to[r].address() != receives[r].address()) copy(exec, receives[r], to[r]);
        }
    }

    void all_gather(Exec& exec, const Tensor& whole, const Tensor& part) override {
        if (exec.device != device_ || !whole.is_packed() || !part.is_packed()) return Communicator::all_gather(exec, whole, part);
        if (is_empty(part)) return;
        comm_.group("all_gather", exec.stream, [&](nccl::Comm comm) {
            return nccl_.all_gather(part.address(), whole.address(), bytes_of(part), nccl::kBytes, comm, exec.stream);
        });
    }

    void plain_sum(Exec& exec, const Tensor& sum) override {
        if (exec.device != device_) return host_->plain_sum(exec, sum);
        if (is_empty(sum)) return;
        Tensor flat = packed_like(exec, sum);
        if (!sum.is_packed()) copy(exec, flat, sum);
        comm_.group("plain_sum", exec.stream, [&](nccl::Comm comm) {
            return nccl_.all_reduce(flat.address(), flat.address(), static_cast<std::size_t>(sum.shape().elements()), type_of(sum.dtype()),
                                    nccl::kSum, comm, exec.stream);
        });
        if (!sum.is_packed()) copy(exec, sum, flat);
    }

    bool has_plain_sum() const override { return true; }
    // One communicator in two streams: NCCL runs its calls in their order.
    void* side_stream() const override { return side_stream_.get(); }

    bool any(bool here) override {
        comm_.check();
        return host_->any(here);
    }

  private:
    // sends[r] without padding; where the rank before it gets the same, the same copy.
    static Tensor packed(Exec& exec, const std::vector<Tensor>& sends, const std::vector<Tensor>& from, std::size_t r) {
        if (sends[r].is_packed()) return sends[r];
        bool as_before = r > 0 && from[r - 1].defined() && sends[r - 1].address() == sends[r].address() &&
                         sends[r - 1].shape() == sends[r].shape() && sends[r - 1].row_stride() == sends[r].row_stride();
        if (as_before) return from[r - 1];
        Tensor copied = packed_like(exec, sends[r]);
        copy(exec, copied, sends[r]);
        return copied;
    }

    const nccl::Library& nccl_;
    Device device_;
    std::unique_ptr<Communicator> host_;
    std::unique_ptr<void, void (*)(void*)> side_stream_{nullptr, cuda::destroy_stream};  // outlives what is in it
    NcclComm comm_;
};

}  // namespace

std::unique_ptr<Communicator> nccl_ranks(Transport& transport, Device device, double patience, const nccl::Library& nccl) {
    check_gpu_places(transport, gpu_place(device, nccl.version));
    return std::make_unique<NcclRanks>(transport, device, patience, nccl);
}

}  // namespace engine
