#pragma once
// Words that say where ranks meet.
#include "engine/comm/transport.h"

#include <string>

namespace apps {

// tcp://HOST:PORT, tcp://[ADDRESS]:PORT or file://FOLDER. Throws a UsageError at anything else.
engine::TcpMeeting meeting_at(const std::string& init);
// For people.
std::string told_place(const engine::TcpMeeting& meeting);

// The first host of a list of Slurm's: "node[007-012,20],login" gives "node007". Throws where it is none.
std::string first_slurm_host(const std::string& list);
// A port that jobs and steps of one machine seldom share, below those that the system gives to callers.
int port_of_job(long long job, long long step);

}  // namespace apps
