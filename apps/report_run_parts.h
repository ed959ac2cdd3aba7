#pragma once
// The files of a run's folder, each read into its part of a RunReport. A file that is absent leaves its part empty; one that is wrong
// adds a sentence to `problems`.
#include "apps/json_lines.h"
#include "apps/report_run.h"

namespace apps {

void read_config(RunReport& run, const std::filesystem::path& path);
void read_usage(RunReport& run, const std::filesystem::path& path);
void read_plan(RunReport& run, const std::filesystem::path& path);
// The `notes` of the latest checkpoint's state.json; what the configuration tells about leaks of the future where they do not.
void read_notes(RunReport& run, const std::filesystem::path& folder);
void read_samples(RunReport& run, const std::filesystem::path& folder);

void note_faults(RunReport& run, const std::string& file, const LineFaults& faults);

}  // namespace apps
