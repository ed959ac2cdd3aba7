#pragma once
#include "engine/tensor/tensor.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

namespace engine {

// Elements of a flat tensor.
struct Range {
    Size first = 0, elements = 0;
    Size end() const { return first + elements; }
};
// What two ranges share: maybe nothing, where the later one begins.
inline Range overlap(const Range& a, const Range& b) {
    Size first = std::max(a.first, b.first);
    return {first, std::max<Size>(0, std::min(a.end(), b.end()) - first)};
}

// What ranks say to each other. Even one rank runs under one (with null in Exec meaning the same). All calls are collective: every rank
// makes the same calls in the same order.
class Communicator {
  public:
    virtual ~Communicator() = default;
    virtual int rank() const = 0;
    virtual int size() const = 0;
    // sends[r] goes to rank r while receives[r] comes from it, for every r, bit for bit; undefined: nothing does. The two ends agree on
    // rows and columns. `collective` names the call in errors.
    virtual void exchange(Exec& exec, std::string_view collective, const std::vector<Tensor>& sends,
                          const std::vector<Tensor>& receives) = 0;
    // An exchange that goes on beside other work: what it sends must not change, and what it receives means nothing, before its end. Others
    // may be made and begun in between, in the same order on every rank. By default it is made at once.
    using Ticket = std::uint64_t;
    virtual Ticket begin_exchange(Exec& exec, std::string_view collective, const std::vector<Tensor>& sends,
                                  const std::vector<Tensor>& receives) {
        exchange(exec, collective, sends, receives);
        return 0;
    }
    // Each once.
    virtual void end_exchange(Exec&, Ticket) {}
    // Moves what can be moved without waiting.
    virtual void advance() {}
    // Where what is begun can go on beside exec.stream's work; null: in exec.stream, or on the host.
    virtual void* side_stream() const { return nullptr; }
    // Rank r's `part` becomes rows [r·rows(part), (r+1)·rows(part)) of `whole` on every rank, bit for bit. `part` may be those
    // rows of this rank's `whole` themselves.
    virtual void all_gather(Exec& exec, const Tensor& whole, const Tensor& part);
    // Each rank holds the root of its subtree of micro-shards; afterwards all hold the root of the whole aligned tree, in the same bits
    // whatever the number of ranks (PROGRAMS, "A step"; shares.h).
    virtual void tree_sum(Exec& exec, const Tensor& sum);
    // A sum over ranks in whatever order is fastest, the same on all of them; another number of ranks gives other bits
    // (parallel.reduction = "fast").
    virtual void plain_sum(Exec& exec, const Tensor& sum) { tree_sum(exec, sum); }
    // It is another sum than tree_sum.
    virtual bool has_plain_sum() const { return false; }
    // True on every rank if any rank says true: how ranks agree on signals and failures.
    virtual bool any(bool here) = 0;
};

std::unique_ptr<Communicator> single_rank();
// One of `ranks` ranks on the dry device: nothing is sent (docs/adr/0003).
std::unique_ptr<Communicator> dry_rank(int rank, int ranks);

// Runs body(communicator) once per rank, as `ranks` ranks in this process that take turns: one runs while the others wait in a collective.
// Rethrows the first rank's error after all have ended.
void run_virtual_ranks(int ranks, const std::function<void(Communicator&)>& body);

// Of `exec.communicator`; of one rank where it is null.
inline int rank_of(const Exec& exec) { return exec.communicator != nullptr ? exec.communicator->rank() : 0; }
inline int rank_count(const Exec& exec) { return exec.communicator != nullptr ? exec.communicator->size() : 1; }

}  // namespace engine
