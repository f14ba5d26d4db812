# Flags for every target, as one interface library.
add_library(assay_flags INTERFACE)
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

target_compile_definitions(assay_flags INTERFACE _GNU_SOURCE ASSAY_VERSION="${PROJECT_VERSION}"
  G_LOG_DOMAIN="assay" GLIB_VERSION_MAX_ALLOWED=GLIB_VERSION_2_74 GLIB_VERSION_MIN_REQUIRED=GLIB_VERSION_2_74)
target_compile_options(assay_flags INTERFACE
  -include ${CMAKE_SOURCE_DIR}/agent/base/banned.h
  -Wall -Wextra -Wpedantic -Wformat=2 -Wshadow -Wundef -Wvla -Wwrite-strings -Wpointer-arith
  -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wimplicit-fallthrough -Wswitch-enum
  -fstack-protector-strong -fstack-clash-protection -fno-omit-frame-pointer -g1
  -ffile-prefix-map=${CMAKE_SOURCE_DIR}/= -ffile-prefix-map=${CMAKE_BINARY_DIR}/=)
if(ASSAY_WERROR)
  target_compile_options(assay_flags INTERFACE -Werror)
endif()
include(CheckCCompilerFlag)
check_c_compiler_flag(-ftrivial-auto-var-init=zero HAS_AUTO_VAR_INIT)
if(HAS_AUTO_VAR_INIT)
  target_compile_options(assay_flags INTERFACE -ftrivial-auto-var-init=zero)
endif()

if(ASSAY_SANITIZE)
  target_compile_options(assay_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined -O1)
  target_link_options(assay_flags INTERFACE -fsanitize=address,undefined)
else()
  target_compile_options(assay_flags INTERFACE $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3>)
endif()
if(ASSAY_FUZZ)
  target_compile_options(assay_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
target_link_options(assay_flags INTERFACE -Wl,-z,relro,-z,now -Wl,--as-needed)
if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  set(CMAKE_C_FLAGS_RELEASE "-O2")
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()
