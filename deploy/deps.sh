#!/usr/bin/env bash
# Installs what Millrace needs from Debian's own packages (12 or 13), and nothing that is there already.
#
#   deploy/deps.sh build      what the build needs (deploy/run.sh calls this)
#   deploy/deps.sh test       the same, and what tests/run.sh needs
#   deploy/deps.sh run        what the program needs, no more (deploy/Dockerfile calls this)
#   deploy/deps.sh package    what `cpack -G DEB` needs: the build's, and Debian's own packaging tools
#   deploy/deps.sh engine     a Docker engine, docker-compose and debootstrap, and what tests/deploy needs beside them
#   deploy/deps.sh prometheus unpacks Debian's prometheus and promtool into build/prometheus, unless they are installed: installing would start a service
#   deploy/deps.sh uri SUITE  installs nothing: prints the address of this machine's apt source that serves SUITE
#
# libraft must be 0.22.1: Debian 13 has it; on Debian 12 it is in the backports suite of the same archive, so the
# address is read from the apt source that serves bookworm, and only libraft is taken from there.
set -euo pipefail

# make is for gcc, which links in parallel by it.
build=(cmake ninja-build gcc make pkg-config python3 libc6-dev liburing-dev libuv1-dev libzstd-dev liblz4-dev
       libsnappy-dev zlib1g-dev libjansson-dev librdkafka-dev libmicrohttpd-dev)
test=(g++ libcmocka-dev clang-14 clang-format-14 libclang-rt-14-dev kcat python3-kafka python3-confluent-kafka
      python3-pytest python3-yaml python3-snappy python3-lz4 python3-zstandard zstd iproute2)

run=(librdkafka1 libuv1 liburing2 libmicrohttpd12 libjansson4 libsnappy1v5 libzstd1 liblz4-1 zlib1g)
engine=(docker.io docker-compose debootstrap iptables dpkg-dev systemd python3-pytest kcat python3-confluent-kafka)

# Debian 13 has no clang-14; its unversioned clang serves the fuzz targets there. The command docker is a package of its own there.
. /etc/os-release
if [ "${VERSION_ID:-12}" != 12 ]; then
  engine+=(docker-cli)
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

apt_install() {
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# The apt address that serves a suite, from either form of apt's source files.
suite_uri() {
  {
    awk -v RS= -v suite="$1" '$0 ~ "(^|\n)Suites:([^\n]*[ :])?" suite "([ \n]|$)" {
      n = split($0, l, "\n"); for (i = 1; i <= n; i++) if (l[i] ~ /^URIs:/) { split(l[i], f, " "); print f[2] } }' /etc/apt/sources.list.d/*.sources 2>/dev/null
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
      awk -v suite="$1" '$1 == "deb" { i = 2; while (i < NF && $i !~ /:\/\//) i++; if ($(i + 1) == suite) print $i }'
  } | awk 'NR == 1' || true
}

has_libraft() {  # NAME: the package, libraft-dev or libraft0
  [[ $(dpkg-query -W -f='${Version}' "$1" 2>/dev/null || true) == 0.22.1-* ]]
}

# Lets apt take libraft, and nothing else, from the backports of Debian 12.
offer_libraft() {
  [ "${VERSION_CODENAME:-}" = bookworm ] || return 0
  local uri; uri=$(suite_uri bookworm)
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
}

unpack_prometheus() {
  local to; to=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/build/prometheus
  if [ "$(command -v prometheus promtool | wc -l)" = 2 ] || [ -x "$to/usr/bin/promtool" ]; then return; fi
  rm -rf "$to.new" && mkdir -p "$to.new"
  (cd "$to.new"
   get() { apt-get download -qq -o APT::Sandbox::User=root prometheus; }
   get 2>/dev/null || { "${sudo[@]}" apt-get update -qq && get; }
   dpkg -x prometheus_*.deb . && rm prometheus_*.deb)
  rm -rf "$to" && mv "$to.new" "$to"
}

raft=libraft-dev
case ${1:-build} in
  build) want=("${build[@]}") ;;
  test) want=("${build[@]}" "${test[@]}") ;;
  run) want=("${run[@]}") raft=libraft0 ;;
  package) want=("${build[@]}" dpkg-dev) ;;
  engine) want=("${engine[@]}") raft= ;;
  prometheus) unpack_prometheus; exit ;;
  uri) suite_uri "${2:?a suite}"; exit ;;
  *) echo "usage: deploy/deps.sh build|test|run|package|engine|prometheus|uri SUITE" >&2; exit 2 ;;
esac
mapfile -t need < <(missing "${want[@]}")
if [ -n "$raft" ] && ! has_libraft "$raft"; then offer_libraft; need+=("$raft"); fi
[ ${#need[@]} = 0 ] || apt_install "${need[@]}"
