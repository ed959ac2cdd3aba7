#include "apps/metrics_log.h"

#include "engine/base/error.h"

#include <fcntl.h>
#include <unistd.h>

namespace apps {

using engine::expect;

MetricsLog::MetricsLog(std::filesystem::path path, std::int64_t last_step) : path_(std::move(path)) {
    if (std::filesystem::exists(path_)) {
        std::filesystem::path shorter = path_.string() + ".partial";
        {
            std::ifstream in(path_);
            std::ofstream out(shorter, std::ios::trunc);
            for (std::string line; std::getline(in, line);) {
                nlohmann::json record = nlohmann::json::parse(line, nullptr, false);
                // A line cut by a crash does not parse; nothing after it can be older than the checkpoint.
                if (record.is_discarded() || !record.contains("step") || record["step"].get<std::int64_t>() > last_step) continue;
                out << line << '\n';
            }
            expect(out.good(), "metrics", "cannot write {}", shorter.string());
        }
        std::filesystem::rename(shorter, path_);
    }
    file_.open(path_, std::ios::app);
    expect(file_.good(), "metrics", "cannot open {} for writing", path_.string());
}

void MetricsLog::write(const nlohmann::ordered_json& record) {
    file_ << record.dump() << '\n' << std::flush;
    expect(file_.good(), "metrics", "cannot write to {}; hint: is the disk full?", path_.string());
}

void MetricsLog::sync() {
    file_.flush();
    int descriptor = open(path_.c_str(), O_RDONLY);
    expect(descriptor >= 0 && fsync(descriptor) == 0, "metrics", "cannot bring {} to the disk", path_.string());
    close(descriptor);
}

}  // namespace apps
