#!/usr/bin/env bash
# Builds the image of deploy/Dockerfile.
#
#   deploy/image.sh                          millrace:latest, compiled in a container, on Debian's slim image
#   deploy/image.sh --base NAME              on another base: millrace-base:bookworm, as deploy/base-image.sh makes it
#   deploy/image.sh --from build/release     with the program that was built there, on a machine of the same Debian release as the base
#   deploy/image.sh --tag NAME               under another name
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
refuse() { echo "deploy/image.sh: $1" >&2; exit "${2:-1}"; }
base='' from='' tag=millrace
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit ;;
    --base | --from | --tag)
      [ -n "${2:-}" ] || refuse "$1 needs a value" 2
      declare "${1#--}=$2"; shift 2 ;;
    *) refuse "unknown option '$1'; see --help" 2 ;;
  esac
done
docker version >/dev/null 2>&1 || refuse "no Docker engine answers (docker version says why); deploy/deps.sh engine installs Debian's"
built=
if [ -n "$from" ]; then
  [ -x "$from/millrace" ] || refuse "there is no $from/millrace: build it first"
  built=build/image/millrace.tar
  rm -rf build/image && mkdir -p build/image
  stage=$(mktemp -d); trap 'rm -rf "$stage"' EXIT
  for c in program kafka-names; do DESTDIR=$stage cmake --install "$from" --prefix /usr --strip --component $c >/dev/null; done
  tar -C "$stage" --owner=0 --group=0 --numeric-owner -cf "$built" .
fi
docker build -f deploy/Dockerfile -t "$tag" ${base:+--build-arg "BASE=$base"} ${built:+--build-arg "BUILT=$built"} .
