#pragma once
#include "engine/base/error.h"
#include "engine/comm/communicator.h"

#include <cstddef>
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

// How bytes travel between ranks that are processes of their own. One call is enough for every collective; process_ranks() makes a
// Communicator of it, with sums in the order of the aligned tree, so that no library's order of a sum is ever trusted.
class Transport {
  public:
    using Send = std::span<const std::byte>;
    using Receive = std::span<std::byte>;

    virtual ~Transport() = default;
    virtual int rank() const = 0;
    virtual int size() const = 0;
    // Ranks on this machine, this one among them.
    virtual int local_size() const = 0;
    // sends[r] goes to rank r while receives[r] comes from it, for every r; the rank's own is copied. Sizes agree between the two ends, or
    // an error says that they do not. `collective` names the call in errors. Throws RankLost.
    virtual void exchange(std::string_view collective, const std::vector<Send>& sends, const std::vector<Receive>& receives) = 0;
    // Ends this process with `code`, and the others as soon as can be. For a rank that cannot go on while others wait for it.
    [[noreturn]] virtual void abandon(int code) = 0;
};

// The transport's ranks as ranks of training: tensors of the cpu and of simt.
std::unique_ptr<Communicator> process_ranks(Transport& transport);

// MPI, as the launcher started it (mpirun, srun --mpi=pmix). `patience`: seconds that a rank waits for another before it takes it for hung.
// Throws where the program was built without MPI. One at a time; its end is MPI's end.
std::unique_ptr<Transport> mpi_transport(double patience);
bool mpi_is_built();

}  // namespace engine
