#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

namespace apps {

// Scalars as TensorBoard reads them: records of a length, its checksum, an `Event` message and its checksum
// (tensorflow/core/lib/io/record_writer.h, tensorflow/core/util/event.proto).
class EventFile {
  public:
    // A new file in the folder, named after the time: events.out.tfevents.SECONDS.moegrad
    explicit EventFile(const std::filesystem::path& folder);
    // One event with all scalars of a step.
    void write(std::int64_t step, const std::map<std::string, double>& scalars);

  private:
    void write_record(const std::string& event);

    std::ofstream file_;
};

}  // namespace apps
