#!/usr/bin/env bash
# What Kafka's dump-log prints for the cases of tests/data/dump-log/cases.tsv, beside what is stored there.
#
#   tests/oracle/dump_log.sh            compares; the last line is `N passed, N failed`
#   tests/oracle/dump_log.sh --store    stores what Kafka prints (only for the cases marked `kafka`)
#   tests/oracle/dump_log.sh --ours BIN stores what BIN, a millrace, prints for the cases marked `ours`: read the difference!
#
# Needs Java and Maven (tests/oracle/kafka).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../data/dump-log"
mode=${1:-} bin=${2:-}
case $mode in
  '' | --store) whose=kafka ;;
  --ours) whose=ours; bin=$(realpath "${bin:?--ours wants the path of a millrace}") ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export LC_ALL=C.UTF-8
passed=0 failed=0
while IFS=$'\t' read -r name who status args; do
  [ "$who" = "$whose" ] || continue
  rc=0
  # shellcheck disable=SC2086
  if [ "$whose" = kafka ]; then
    "$here/kafka" dump-log $args >"$tmp/out" 2>"$tmp/err" </dev/null || rc=$?
  else
    "$bin" dump-log $args >"$tmp/out" 2>"$tmp/err" </dev/null || rc=$?
  fi
  sed -i "s|$PWD/|@/|" "$tmp/err"
  if [ -n "$mode" ]; then
    mkdir -p expect
    cp "$tmp/out" "expect/$name.out"
    if [ -s "$tmp/err" ]; then cp "$tmp/err" "expect/$name.err"; else rm -f "expect/$name.err"; fi
    continue
  fi
  touch "$tmp/none"
  want=expect/$name.err
  [ -e "$want" ] || want=$tmp/none
  if [ "$rc" = "$status" ] && cmp -s "$tmp/out" "expect/$name.out" && cmp -s "$tmp/err" "$want"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "$name: differs (status $rc)"
  fi
done <cases.tsv
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
