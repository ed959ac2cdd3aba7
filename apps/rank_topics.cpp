#include "apps/rank_topics.h"

#include "engine/base/cpu_level.h"
#include "engine/io/atomic_file.h"
#include "engine/io/manifest.h"

namespace apps {

namespace {

std::string hash_of(const std::filesystem::path& file) { return fmt::format("{:016x}", engine::io::fnv1a(engine::io::read_file(file))); }

}  // namespace

std::vector<Topic> rank_topics(const Config& config, const data::TokenStore& store, const std::string& options) {
    return {{"configuration", config_text(config)},
            {"program", fmt::format("{} of hash {}", MOEGRAD_VERSION, hash_of("/proc/self/exe"))},
            {"instruction set", engine::cpu_isa()},
            {"options", options},
            {"data", fmt::format("{} of hash {}", store.folder().string(), hash_of(store.folder() / "manifest.json"))}};
}

}  // namespace apps
