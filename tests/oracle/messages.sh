#!/usr/bin/env bash
# Tampered messages to our decoder and to Kafka's own classes: both must take them for the same message, or both refuse.
#
#   tests/oracle/messages.sh [--seed N] [--count N]      needs Java 17 and Maven; not part of CI
#
# MILLRACE_BUILD is a folder that is built already; else the preset dev is built. Ends with `N passed, N failed`.
set -euo pipefail
cd "$(dirname "$0")/../.."
seed=1 count=200000
while [ $# -gt 0 ]; do
  case $1 in
    --seed) seed=${2:?} ; shift ;;
    --count) count=${2:?} ; shift ;;
    --help | -h) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit ;;
    *) echo "tests/oracle/messages.sh: unknown argument '$1' (see --help)" >&2; exit 2 ;;
  esac
  shift
done
build=${MILLRACE_BUILD:-build/dev}
if [ -z "${MILLRACE_BUILD:-}" ]; then
  cmake --preset dev >/dev/null
  cmake --build --preset dev --target vectors_read
fi
reader=$(find "$build" -name vectors_read -type f -perm -u+x | head -1)
lib=${ORACLE_HOME:-$HOME/.cache/kafka-oracle}/lib
[ -e "$lib/.complete" ] || tests/oracle/kafka setup
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for f in requests responses records headers; do
  if [ -e tests/data/vectors/$f.tsv ]; then cp tests/data/vectors/$f.tsv "$work"; else
    zstd -qdc tests/data/vectors/$f.tsv.zst >"$work/$f.tsv"
  fi
done
python3 tests/oracle/messages/mutate.py "$seed" "$count" "$work"/*.tsv >"$work/lines"
"$reader" <"$work/lines" >"$work/ours"
java -Xmx1g -cp "$lib/*" tests/oracle/messages/Messages.java <"$work/lines" >"$work/kafka"
python3 tests/oracle/messages/compare.py "$work/lines" "$work/ours" "$work/kafka"
