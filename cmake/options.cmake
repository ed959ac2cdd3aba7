# What every target of ours is compiled with. Floating point is never contracted or reassociated: equal bits are a promise.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
add_library(moegrad_options INTERFACE)
target_include_directories(moegrad_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_features(moegrad_options INTERFACE cxx_std_20)
target_compile_definitions(moegrad_options INTERFACE $<$<BOOL:${MOEGRAD_CUDA}>:MOEGRAD_CUDA=1>)
target_compile_options(moegrad_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wno-missing-field-initializers -Werror -ffp-contract=off -fno-math-errno -fno-trapping-math>)
# As headers only, fmt costs every file two seconds; Debian has no static library of it.
target_link_libraries(moegrad_options INTERFACE Threads::Threads $<IF:$<BOOL:${MOEGRAD_PORTABLE}>,fmt::fmt-header-only,fmt::fmt>)
if(MOEGRAD_SANITIZE)
  # -w: at -O1, between the sanitizers' checks, GCC 12 warns of what is not there; the other presets have its warnings as errors.
  target_compile_options(moegrad_options INTERFACE -w -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1)
  target_link_options(moegrad_options INTERFACE -fsanitize=address,undefined)
endif()
if(MOEGRAD_PORTABLE)
  target_link_options(moegrad_options INTERFACE -static-libgcc -static-libstdc++ -Wl,--gc-sections -s)
endif()

if(MOEGRAD_CUDA)
  set(CMAKE_CUDA_STANDARD 20)
  set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES ${MOEGRAD_CUDA_ARCHITECTURES})
  endif()
  enable_language(CUDA)
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 does not know that nvcc 12 and later take it
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
  endif()
  find_package(CUDAToolkit REQUIRED)
  target_compile_options(moegrad_options INTERFACE
    $<$<COMPILE_LANGUAGE:CUDA>:-fmad=false --expt-relaxed-constexpr -diag-suppress=445,554 -Werror=all-warnings>)
endif()
