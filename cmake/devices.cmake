# One kernel file, several devices. x.cpp is compiled once per CPU instruction set, x.cu once by g++ for simt and, with CUDA, once by nvcc.
# Each compilation gets its device tag `Here` from a force-included header (engine/base/device_tags.h); see docs/adr/0002.
set(level_flags_base "")
set(level_flags_avx2 -mavx2 -mfma -mf16c -mbmi -mbmi2)
set(level_flags_avx512 -mavx2 -mfma -mf16c -mbmi -mbmi2 -mavx512f -mavx512bw -mavx512cd -mavx512dq -mavx512vl -mprefer-vector-width=512
  -Wno-maybe-uninitialized -Wno-uninitialized)  # false alarms from GCC 12's own AVX-512 header

# The compiler reports each access to simt's race detector (engine/simt/tsan_hooks.cpp); ThreadSanitizer itself is not linked.
set(race_flags -fsanitize=thread --param=tsan-instrument-func-entry-exit=0)
if(MOEGRAD_RACES AND MOEGRAD_SANITIZE)
  message(FATAL_ERROR "MOEGRAD_RACES and MOEGRAD_SANITIZE exclude each other: one program has one detector")
endif()

# add_kernels(<target> <folder>): every <folder>/*.cpp and *.cu, for every device.
function(add_kernels target folder)
  file(GLOB cpp_files CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cpp)
  file(GLOB cu_files CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cu)
  file(RELATIVE_PATH root ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/${folder})
  foreach(level IN LISTS MOEGRAD_CPU_LEVELS)
    foreach(file IN LISTS cpp_files)
      get_filename_component(stem ${file} NAME_WE)
      set(wrapper ${CMAKE_CURRENT_BINARY_DIR}/${folder}/${stem}.${level}.cpp)
      file(CONFIGURE OUTPUT ${wrapper} CONTENT "#define ENGINE_HERE_${level} 1\n#include \"engine/base/here.h\"\n#include \"${root}/${stem}.cpp\"\n")
      set_source_files_properties(${wrapper} PROPERTIES COMPILE_OPTIONS "${level_flags_${level}}")
      target_sources(${target} PRIVATE ${wrapper})
    endforeach()
  endforeach()
  foreach(file IN LISTS cu_files)
    get_filename_component(stem ${file} NAME_WE)
    set(wrapper ${CMAKE_CURRENT_BINARY_DIR}/${folder}/${stem}.simt.cpp)
    file(CONFIGURE OUTPUT ${wrapper} CONTENT "#define ENGINE_HERE_simt 1\n#include \"engine/base/here.h\"\n#include \"engine/simt/cuda_host.h\"\n#include \"${root}/${stem}.cu\"\n")
    set_source_files_properties(${wrapper} PROPERTIES COMPILE_OPTIONS "$<IF:$<CONFIG:Debug>,-O0,-O2>;-Wno-conversion;-Wno-unknown-pragmas;$<$<BOOL:${MOEGRAD_RACES}>:${race_flags}>")
    target_sources(${target} PRIVATE ${wrapper})
    if(MOEGRAD_CUDA)
      target_sources(${target} PRIVATE ${file})
    endif()
  endforeach()
endfunction()

# The levels that were compiled, for the table that picks one at run time (engine/base/cpu_level.cpp).
set(level_definitions "")
foreach(level IN LISTS MOEGRAD_CPU_LEVELS)
  list(APPEND level_definitions MOEGRAD_LEVEL_${level}=1)
endforeach()
target_compile_definitions(moegrad_options INTERFACE ${level_definitions})
