#include "apps/command.h"
#include "engine/io/atomic_file.h"
#include "tests/support/run_folder.h"
#include "tests/support/temporary_folder.h"

#include <sstream>

#include <doctest/doctest.h>

TEST_CASE("compare writes one file for one run or many") {
    tests::TemporaryFolder folder;
    tests::RunFolder{.method = "dense", .records = 10, .layers = 0}.write(folder / "dense");
    tests::RunFolder{.records = 10, .layers = 1}.write(folder / "moe");
    std::ostringstream errors;
    std::string out = folder / "report.html";
    CHECK(apps::run_program({"compare", folder / "dense", "--out", out}, errors) == apps::kDone);
    std::string one = engine::io::read_file(out);
    CHECK(apps::run_program({"compare", folder / "dense", folder / "moe", "--out", out}, errors) == apps::kDone);
    CHECK(engine::io::read_file(out).find("<title>dense · moe</title>") != std::string::npos);
    CHECK(one.find("<title>dense</title>") != std::string::npos);
    CHECK(errors.str().empty());
}

TEST_CASE("compare without a run is wrong usage; with a folder that is none it fails and writes nothing") {
    tests::TemporaryFolder folder;
    std::ostringstream errors;
    CHECK(apps::run_program({"compare"}, errors) == apps::kWrongUsage);
    std::string out = folder / "report.html";
    CHECK(apps::run_program({"compare", folder / "absent", "--out", out}, errors) == apps::kFailed);
    CHECK(errors.str().find("[compare] no such run") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(out));
}
