#include "apps/evaluation_record.h"

#include "engine/io/atomic_file.h"

#include <fstream>

namespace apps {

void record_evaluation(const RunFolder& folder, std::int64_t step, const Evaluation& evaluation) {
    FolderLock lock(folder.path());
    std::string kept;
    std::ifstream in(folder.metrics());
    for (std::string line; std::getline(in, line);) {
        nlohmann::json record = nlohmann::json::parse(line, nullptr, false);
        bool same = record.is_object() && record.value("step", std::int64_t{-1}) == step && record.contains("eval") &&
                    record["eval"].value("split", "") == evaluation.split;
        if (!same) kept += line + "\n";
    }
    nlohmann::ordered_json record{{"step", step}, {"eval", evaluation_json(evaluation)}};
    engine::io::write_file(folder.metrics(), kept + record.dump() + "\n");
}

}  // namespace apps
