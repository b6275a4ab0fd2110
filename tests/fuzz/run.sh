#!/usr/bin/env bash
# Fuzzes the decoders: builds the targets with clang, makes seeds of the golden vectors, and feeds each target its share.
#
#   tests/fuzz/run.sh                       a short run, as in CI (200,000 inputs in all)
#   tests/fuzz/run.sh --runs 100000000      a long one; what was found interesting is kept and used by the next run
#   tests/fuzz/run.sh --target requests     one target only: requests, responses, records, headers, batch, compress
#   tests/fuzz/run.sh --record              adds the number of inputs to docs/fuzzing.tsv, where they add up
#
# MILLRACE_FUZZ_BUILD is a folder that is built already (preset fuzz); else build/fuzz is made. An input that fails is kept
# in its corpus folder and named; `BUILD/tests/fuzz/fuzz_NAME FILE` runs it again. The last line is `N passed, N failed`,
# counted in targets.
set -euo pipefail
cd "$(dirname "$0")/../.."
runs=200000 only="" record=no
while [ $# -gt 0 ]; do
  case $1 in
    --runs) runs=${2:?--runs wants a number}; shift ;;
    --target) only=${2:?--target wants a name}; shift ;;
    --record) record=yes ;;
    --help | -h) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit ;;
    *) echo "tests/fuzz/run.sh: unknown argument '$1' (see --help)" >&2; exit 2 ;;
  esac
  shift
done
[[ $runs =~ ^[1-9][0-9]*$ ]] || { echo "tests/fuzz/run.sh: --runs wants a number above 0, not '$runs'" >&2; exit 2; }

build=${MILLRACE_FUZZ_BUILD:-build/fuzz}
if [ -z "${MILLRACE_FUZZ_BUILD:-}" ]; then
  cmake --preset fuzz >/dev/null
  cmake --build --preset fuzz --target fuzz_targets
fi
bin=$(dirname "$(find "$build" -name fuzz_seeds -type f -perm -u+x | head -1)")
[ -x "$bin/fuzz_seeds" ] || { echo "tests/fuzz/run.sh: $build has no fuzz targets; build the preset fuzz" >&2; exit 2; }

names=()
for f in "$bin"/fuzz_*; do
  n=${f##*/fuzz_}
  [ -x "$f" ] && [ -f "$f" ] && [ "$n" != seeds ] && { [ -z "$only" ] || [ "$n" = "$only" ]; } && names+=("$n")
done
[ ${#names[@]} -gt 0 ] || { echo "tests/fuzz/run.sh: there is no target '$only'" >&2; exit 2; }

corpus=$build/corpus seeds=$build/seeds
for n in "${names[@]}" requests responses records headers batch compress; do mkdir -p "$corpus/$n" "$seeds/$n"; done
"$bin/fuzz_seeds" "$seeds" tests/data/vectors/*.tsv* >/dev/null

passed=0 failed=0 total=0
share=$(((runs + ${#names[@]} - 1) / ${#names[@]}))
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
for n in "${names[@]}"; do
  log=$build/fuzz_$n.log
  start=$(date +%s)
  status=ok
  "$bin/fuzz_$n" -runs="$share" -max_len=16384 -rss_limit_mb=2048 -timeout=20 -artifact_prefix="$corpus/crash-$n-" \
    -print_final_stats=1 "$corpus/$n" "$seeds/$n" >"$log" 2>&1 || status=failed
  count=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
  count=${count:-0}
  total=$((total + count))
  echo "$n: $count inputs in $(($(date +%s) - start)) s, $status"
  if [ "$status" = ok ] && [ "$count" -ge "$share" ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    tail -40 "$log"
  fi
  if [ "$record" = yes ]; then
    printf '%s\t%s\t%s\t%s\n' "$(date -u +%F)" "$n" "$count" "$status" >>docs/fuzzing.tsv
  fi
done
echo "$total inputs"
[ "$record" = no ] || awk -F'\t' '!/^#/ { n += $3 } END { printf "%d inputs in all runs so far\n", n }' docs/fuzzing.tsv
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
