# The pages of `moegrad compare` and `inspect`, inside the program: no file and no network is needed when it runs. Chart.js is Debian's package.
find_file(MOEGRAD_CHART_JS chart.min.js PATHS /usr/share/javascript/chart.js /usr/share/nodejs/chart.js/dist NO_DEFAULT_PATH)
if(NOT MOEGRAD_CHART_JS)
  message(FATAL_ERROR "Chart.js is missing; hint: apt-get install libjs-chart.js, or -DMOEGRAD_CHART_JS=/path/to/chart.min.js (3.9)")
endif()

set(report ${PROJECT_SOURCE_DIR}/apps/report)
set(scripts format state theme crosshair axes legend loss multiples summary seeds experts heatmap text main)
set(inspect_scripts format state theme crosshair axes experts heatmap inspect)
foreach(list scripts inspect_scripts)
  list(TRANSFORM ${list} PREPEND ${report}/)
  list(TRANSFORM ${list} APPEND .js)
endforeach()

function(embed name)  # NAME file...: adds a source to `apps` that defines NAME
  set(out ${CMAKE_CURRENT_BINARY_DIR}/report/${name}.cpp)
  add_custom_command(OUTPUT ${out} VERBATIM
    COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DNAME=${name} "-DFILES=${ARGN}" -P ${report}/embed.cmake
    DEPENDS ${ARGN} ${report}/embed.cmake)
  target_sources(apps PRIVATE ${out})
endfunction()
embed(kPageHtml ${report}/head.html ${report}/page.html ${report}/foot.html)
embed(kInspectHtml ${report}/head.html ${report}/inspect.html ${report}/foot.html)
embed(kInspectScripts ${inspect_scripts})
embed(kStyle ${report}/page.css)
embed(kScripts ${scripts})
embed(kChart ${MOEGRAD_CHART_JS})
embed(kChartLicence ${report}/chart-licence.txt)
