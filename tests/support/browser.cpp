#include "tests/support/browser.h"

#include "engine/io/atomic_file.h"

#include <array>
#include <cstdio>
#include <memory>

#include <doctest/doctest.h>
#include <fmt/format.h>

namespace tests {
namespace {

std::string output_of(const std::string& command) {
    std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
    std::string text;
    std::array<char, 4096> part;
    for (std::size_t count; (count = fread(part.data(), 1, part.size(), pipe.get())) > 0;) text.append(part.data(), count);
    return text;
}

}  // namespace

Shown show(const std::string& page, const TemporaryFolder& folder, const std::string& address) {
    std::string file = folder / "page.html", log = folder / "log";
    engine::io::write_file(file, page);
    std::string command = fmt::format(
        "HOME='{0}' timeout 120 chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir='{0}/browser' "
        "--enable-logging=stderr --virtual-time-budget=8000 --dump-dom 'file://{1}#{2}' 2> '{3}'",
        folder.path().string(), file, address, log);
    Shown shown{output_of(command), output_of(fmt::format("grep CONSOLE '{}'", log))};
    if (shown.document.find("</html>") == std::string::npos) {
        MESSAGE("skipped: chromium is not installed, or does not start here");
        return {};
    }
    return shown;
}

std::string with_script(std::string page, const std::string& script) {
    std::size_t end = page.rfind("</body>");
    return page.insert(end, fmt::format("<script>document.body.dataset.result = (() => {{ {} }})();</script>", script));
}

bool has(const Shown& shown, const std::string& part) { return shown.document.find(part) != std::string::npos; }

std::string result_of(const Shown& shown) {
    std::size_t begin = shown.document.find("data-result=\"") + 13;
    return shown.document.substr(begin, shown.document.find('"', begin) - begin);
}

}  // namespace tests
