#include "engine/comm/transport.h"
#include "tests/support/collectives.h"
#include "tests/support/many_ranks.h"

#include <doctest/doctest.h>

using namespace engine;
using namespace tests;

TEST_CASE("as an MPI rank: collectives" * doctest::skip()) {
    std::unique_ptr<Transport> transport = mpi_transport(20);
    std::unique_ptr<Communicator> communicator = process_ranks(*transport);
    REQUIRE(communicator->size() == std::stoi(std::getenv("OMPI_COMM_WORLD_SIZE")));
    CHECK(transport->local_size() == communicator->size());
    CHECK(collected(*communicator) == collected_by_virtual_ranks(communicator->size()));
}

TEST_CASE("MPI ranks sum, gather and agree in the bits of virtual ranks") {
    if (!can_run_ranks()) return;
    for (int ranks : {1, 2, 3, 4, 8}) {
        CAPTURE(ranks);
        CHECK(run_case_on_ranks(ranks, "as an MPI rank: collectives") == 0);
    }
}
