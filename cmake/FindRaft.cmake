# libraft must be exactly 0.22.1: 0.15 loses acknowledged entries, and later ones have other memory rules
# (docs/decisions/0002-libraft.md). Its .pc file carries another number, so the header is asked.
find_path(RAFT_INCLUDE_DIR raft.h REQUIRED)
find_library(RAFT_LIBRARY raft REQUIRED)
file(STRINGS ${RAFT_INCLUDE_DIR}/raft.h raft_version_lines REGEX "#define RAFT_VERSION_(MAJOR|MINOR|RELEASE) ")
string(REGEX REPLACE ".*MAJOR ([0-9]+).*" "\\1" raft_major "${raft_version_lines}")
string(REGEX REPLACE ".*MINOR ([0-9]+).*" "\\1" raft_minor "${raft_version_lines}")
string(REGEX REPLACE ".*RELEASE ([0-9]+).*" "\\1" raft_release "${raft_version_lines}")
set(raft_version "${raft_major}.${raft_minor}.${raft_release}")
if(NOT raft_version STREQUAL "0.22.1")
  message(FATAL_ERROR "Millrace needs libraft 0.22.1, exactly; the one found says '${raft_version}'. "
    "`deploy/deps.sh build` installs it (Debian 13: libraft-dev; Debian 12: libraft-dev from the backports suite).")
endif()
add_library(raft_imported INTERFACE)
target_include_directories(raft_imported SYSTEM INTERFACE ${RAFT_INCLUDE_DIR})
target_link_libraries(raft_imported INTERFACE ${RAFT_LIBRARY})
