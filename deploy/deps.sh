#!/usr/bin/env bash
# Installs what Millrace needs from Debian's own packages (12 or 13), and nothing that is there already.
#
#   deploy/deps.sh build    what the build needs (deploy/run.sh calls this)
#   deploy/deps.sh test     the same, and what tests/run.sh needs
#
# libraft must be 0.22.1: Debian 13 has it; on Debian 12 it is in the backports suite of the same archive, so the
# address is read from the apt source that serves bookworm, and only libraft is taken from there.
set -euo pipefail

# make is for gcc, which links in parallel by it.
build=(cmake ninja-build gcc make pkg-config python3 libc6-dev liburing-dev libuv1-dev libzstd-dev liblz4-dev
       libsnappy-dev zlib1g-dev libjansson-dev librdkafka-dev libmicrohttpd-dev)
test=(g++ libcmocka-dev clang-14 clang-format-14 libclang-rt-14-dev kcat python3-kafka python3-confluent-kafka
      python3-pytest python3-snappy python3-lz4 python3-zstandard zstd iproute2)

# Debian 13 has no clang-14; its unversioned clang serves the fuzz targets there.
. /etc/os-release
if [ "${VERSION_ID:-12}" != 12 ]; then
  test=("${test[@]/clang-14/clang}"); test=("${test[@]/clang-format-14/clang-format}")
  test=("${test[@]/libclang-rt-14-dev/libclang-rt-dev}")
fi

command -v apt-get >/dev/null || { echo "deps: this needs Debian 12 or 13 (there is no apt-get here)" >&2; exit 1; }
[ "$(id -u)" = 0 ] && sudo=() || sudo=(sudo)

missing() {  # prints the packages of its arguments that are not installed
  local p
  for p in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || echo "$p"
  done
}

updated=
apt_install() {
  [ -n "$updated" ] || { "${sudo[@]}" apt-get update -qq; updated=1; }
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# The apt address that serves suite bookworm, from either form of apt's source files.
bookworm_uri() {
  {
    cat /etc/apt/sources.list.d/*.sources 2>/dev/null |
      awk -v RS= '/(^|\n)Suites:[^\n]*[ :]bookworm([ \n]|$)/ {
        n = split($0, l, "\n"); for (i = 1; i <= n; i++) if (l[i] ~ /^URIs:/) { split(l[i], f, " "); print f[2] } }'
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
      awk '$1 == "deb" { i = 2; while (i < NF && $i !~ /:\/\//) i++; if ($(i + 1) == "bookworm") print $i }'
  } | awk 'NR == 1' || true
}

install_libraft() {
  local have; have=$(dpkg-query -W -f='${Version}' libraft-dev 2>/dev/null || true)
  case $have in 0.22.1-*) return ;; esac
  if [ "${VERSION_CODENAME:-}" = bookworm ]; then
    local uri; uri=$(bookworm_uri)
    [ -n "$uri" ] || { echo "deps: no apt source serves the suite bookworm, so libraft 0.22.1 cannot be found" >&2; exit 1; }
    "${sudo[@]}" tee /etc/apt/sources.list.d/millrace-backports.sources >/dev/null <<SRC
Types: deb
URIs: $uri
Suites: bookworm-backports
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SRC
    "${sudo[@]}" tee /etc/apt/preferences.d/millrace-libraft >/dev/null <<PIN
Package: *
Pin: release n=bookworm-backports
Pin-Priority: -1

Package: libraft0 libraft-dev
Pin: release n=bookworm-backports
Pin-Priority: 990
PIN
    updated=
  fi
  apt_install libraft-dev
}

case ${1:-build} in
  build) want=("${build[@]}") ;;
  test) want=("${build[@]}" "${test[@]}") ;;
  *) echo "usage: deploy/deps.sh build|test" >&2; exit 2 ;;
esac
mapfile -t need < <(missing "${want[@]}")
[ ${#need[@]} = 0 ] || apt_install "${need[@]}"
install_libraft
