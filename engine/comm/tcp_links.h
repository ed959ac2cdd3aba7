#pragma once
#include "engine/comm/socket.h"
#include "engine/comm/transport.h"

#include <vector>

namespace engine {

// A connection from this rank to every other; none to itself. Rank 0 listens where the meeting says, the others at any port; each calls the
// ranks below it, having heard from rank 0 where they are. Who comes says token, rank and number of ranks: strangers are turned away and
// told why. Throws, on every rank that has come and with rank 0's words, where a rank is missing, comes twice, or counts otherwise; and
// where the port is taken or the address cannot be reached. Rank 0 waits no longer than meeting.seconds; the others as long for rank 0, and
// then as long for its word.
std::vector<Socket> connect_ranks(const TcpMeeting& meeting);

}  // namespace engine
