#pragma once
#include "engine/base/error.h"
#include "engine/comm/communicator.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace engine {

// A rank died, or did not answer in time. The ranks that are left cannot go on: Transport::abandon ends them.
class RankLost : public Error {
  public:
    using Error::Error;
};

// How bytes travel between ranks that are processes of their own. Exchanges are enough for every collective; process_ranks() makes a
// Communicator of them, with sums in the order of the aligned tree, so that no library's order of a sum is ever trusted.
class Transport {
  public:
    using Send = std::span<const std::byte>;
    using Receive = std::span<std::byte>;

    virtual ~Transport() = default;
    virtual int rank() const = 0;
    virtual int size() const = 0;
    // Ranks on this machine, this one among them; and how many of them come before this one.
    virtual int local_size() const = 0;
    virtual int local_rank() const = 0;
    // Exchanges, counted from 1.
    using Ticket = std::uint64_t;
    // sends[r] goes to rank r while receives[r] comes from it, for every r; the rank's own is copied. Sizes agree between the two ends, or
    // an error says that they do not. `collective` names the call in errors. Several exchanges may be under way: all ranks begin them in
    // the same order. The spans' bytes must stay until the end, those to send unchanged. These three throw RankLost.
    virtual Ticket begin(std::string_view collective, const std::vector<Send>& sends, const std::vector<Receive>& receives) = 0;
    // Waits until that exchange is through.
    virtual void end(Ticket exchange) = 0;
    // Moves what can be moved without waiting.
    virtual void advance() = 0;
    void exchange(std::string_view collective, const std::vector<Send>& sends, const std::vector<Receive>& receives) {
        end(begin(collective, sends, receives));
    }
    // Ends this process with `code`, and the others as soon as can be. For a rank that cannot go on while others wait for it.
    [[noreturn]] virtual void abandon(int code) = 0;
};

// The transport's ranks as ranks of training: tensors of the cpu and of simt.
std::unique_ptr<Communicator> process_ranks(Transport& transport);

// MPI, as the launcher started it (mpirun, srun --mpi=pmix). `patience`: seconds that a rank waits for another before it takes it for hung.
// Throws where the program was built without MPI. One at a time; its end is MPI's end.
std::unique_ptr<Transport> mpi_transport(double patience);
bool mpi_is_built();

// Where ranks without MPI meet. The first listens; all connect to each other, or all end with an error, within `seconds`.
struct TcpMeeting {
    int rank = 0, size = 1;
    // The first rank listens at this port of this host: at that address alone where it is given in digits. `token`, up to 127 bytes, keeps
    // another job's ranks out; it goes over the wire as it is.
    std::string host;
    int port = 0;
    std::string token;
    // Or, where it is not empty: the first rank listens at a free port, and leaves address and a random token in this folder, which all
    // see.
    std::filesystem::path folder;
    double seconds = 60;
};
// A connection between every two ranks, for networks that are trusted. `patience` as above, since the last byte that came or went.
std::unique_ptr<Transport> tcp_transport(const TcpMeeting& meeting, double patience);

}  // namespace engine
