#include "apps/command.h"
#include "engine/io/atomic_file.h"
#include "tests/support/program_output.h"
#include "tests/support/run_folder.h"
#include "tests/support/temporary_folder.h"

#include <doctest/doctest.h>

TEST_CASE("compare writes one file for one run or many") {
    tests::TemporaryFolder folder;
    tests::RunFolder{.method = "dense", .records = 10, .layers = 0}.write(folder / "dense");
    tests::RunFolder{.records = 10, .layers = 1}.write(folder / "moe");
    std::string out = folder / "report.html";
    tests::ProgramResult of_one = tests::run_program({"compare", folder / "dense", "--out", out});
    CHECK(of_one.code == apps::kDone);
    std::string one = engine::io::read_file(out);
    tests::ProgramResult of_two = tests::run_program({"compare", folder / "dense", folder / "moe", "--out", out});
    CHECK(of_two.code == apps::kDone);
    CHECK(engine::io::read_file(out).find("<title>dense · moe</title>") != std::string::npos);
    CHECK(one.find("<title>dense</title>") != std::string::npos);
    CHECK(of_one.errors + of_two.errors == "");
}

TEST_CASE("compare without a run is wrong usage; with a folder that is none it fails and writes nothing") {
    tests::TemporaryFolder folder;
    CHECK(tests::run_program({"compare"}).code == apps::kWrongUsage);
    std::string out = folder / "report.html";
    tests::ProgramResult absent = tests::run_program({"compare", folder / "absent", "--out", out});
    CHECK(absent.code == apps::kFailed);
    CHECK(absent.errors.find("[compare] no such run") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(out));
}
