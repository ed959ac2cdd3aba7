#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace apps {

// A file of JSON lines that grows with a run. Opening removes every record after `last_step`, so that each step stands once.
class MetricsLog {
  public:
    MetricsLog(std::filesystem::path path, std::int64_t last_step);
    // Appends one line and hands it to the system. Throws where it cannot be written.
    void write(const nlohmann::ordered_json& record);
    // To the disk, before a checkpoint counts on it.
    void sync();

  private:
    std::filesystem::path path_;
    std::ofstream file_;
};

}  // namespace apps
