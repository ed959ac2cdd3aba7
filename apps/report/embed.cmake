# cmake -DOUT=x.cpp -DNAME=kPageHtml -DFILES=a;b -P embed.cmake: a C++ file that defines NAME as the bytes of the files, one after another.
set(hex "")
foreach(file IN LISTS FILES)
  file(READ ${file} part HEX)
  string(APPEND hex ${part})
endforeach()
string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
file(WRITE ${OUT} "#include \"apps/report/assets.h\"

namespace apps {

static constexpr unsigned char kBytes[] = {
${hex}};
const std::string_view ${NAME}(reinterpret_cast<const char*>(kBytes), sizeof kBytes);

}  // namespace apps
")
