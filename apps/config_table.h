#pragma once
// TOML as tables, for files that hold a configuration or parts of one.
#include "apps/config.h"

#include <toml++/toml.h>

namespace apps {

// Throws engine::Error with line and column; `where` is the file's name in messages.
toml::table parse_toml(std::string_view text, const std::string& where);
// A value as a message shows it, on one line.
std::string node_text(const toml::node& node);
// Whether a configuration has such a section: "train", "ffn", …
bool is_config_section(const std::string& name);
// Sets what the table names, over what the configuration has. Throws engine::Error for unknown names, wrong types and ranges.
void apply_config(Config& config, const toml::table& table);

}  // namespace apps
