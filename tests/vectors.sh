#!/usr/bin/env bash
# Checks golden vectors and plays recorded sessions.
#
#   tests/vectors.sh FILE...
#
# What a file holds is told by its content: tables of messages, framed records, headers or record batches (.tsv, .tsv.zst) go
# through our decoder and encoder; sessions (.jsonl) are played against a fresh node with the volatile fields masked, all
# that lie in one folder against one node; exchanges about what a later version brings are listed as "not yet" and not counted.
# Without a file: those of tests/data/vectors. The binaries come from MILLRACE_BUILD, or else from build/dev, which is built
# first. The last line is "N passed, N failed".
set -euo pipefail
case ${1:-} in
  --help | -h) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit ;;
esac
files=()
for f in "$@"; do
  [ -f "$f" ] || { echo "tests/vectors.sh: no file '$f'" >&2; exit 2; }
  files+=("$(realpath "$f")")
done
cd "$(dirname "$0")/.."
if [ ${#files[@]} = 0 ]; then
  for f in tests/data/vectors/*.tsv* tests/data/vectors/sessions/*.jsonl; do
    files+=("$(realpath "$f")")
  done
fi

if [ -z "${MILLRACE_BUILD:-}" ]; then
  deploy/deps.sh test >&2
  cmake --preset dev >/dev/null
  cmake --build --preset dev --target millrace vectors_check >&2
fi
build=${MILLRACE_BUILD:-build/dev}

# A session's lines are JSON objects; everything else is a table, whose checker looks at the columns.
tables=() sessions=()
for f in "${files[@]}"; do
  if [ "$(head -c 1 "$f" | tr -d '\0')" = "{" ]; then sessions+=("$f"); else tables+=("$f"); fi
done

passed=0 failed=0
# Runs a checker, shows what it says, and adds up its last line.
check() {
  local out status=0 line
  out=$(mktemp)
  "$@" >"$out" 2>&1 || status=$?
  line=$(tail -n 1 "$out")
  if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
    sed '$d' "$out"
    passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
    if [ "$status" != 0 ] && [ "${BASH_REMATCH[2]}" = 0 ]; then failed=$((failed + 1)); fi
  else
    cat "$out"
    failed=$((failed + 1))
  fi
  rm -f "$out"
}

if [ ${#tables[@]} != 0 ]; then check "$build/tests/vectors/vectors_check" "${tables[@]}"; fi
folders=()
for f in "${sessions[@]}"; do
  d=$(dirname "$f")
  [[ " ${folders[*]} " == *" $d "* ]] || folders+=("$d")
done
for d in "${folders[@]}"; do
  some=()
  for f in "${sessions[@]}"; do
    if [ "$(dirname "$f")" = "$d" ]; then some+=("$f"); fi
  done
  check /usr/bin/python3 tests/vectors_sessions.py --build "$build" "${some[@]}"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
