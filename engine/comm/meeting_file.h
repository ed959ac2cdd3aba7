#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace engine {

// What the first rank leaves in a folder that all ranks see, so that they find it.
struct MeetingFile {
    std::vector<std::string> addresses;  // of its machine, those that others reach first
    int port = 0;
    std::string token;   // random: who can read the file may join
    std::string folder;  // for messages
};

// Listening at `port`. Replaces a file of an earlier start in one go; nobody but the user can read it.
MeetingFile write_meeting(const std::filesystem::path& folder, int port);
// None of it where there is no file, or none of ours.
MeetingFile read_meeting(const std::filesystem::path& folder);
// All have met, or will not.
void remove_meeting(const std::filesystem::path& folder);

}  // namespace engine
