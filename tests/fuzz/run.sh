#!/usr/bin/env bash
# Fuzzes the decoders: builds the targets with clang, makes seeds of the golden vectors and of the directories in tests/data,
# and feeds each target its share of the inputs.
#
#   tests/fuzz/run.sh                       a short run, as in CI (200,000 inputs in all)
#   tests/fuzz/run.sh --runs 100000000      a long one; what was found interesting is kept and used by the next run
#   tests/fuzz/run.sh --target requests     one target only; --list names them
#   tests/fuzz/run.sh --seed 1              the same inputs each time, from an empty build directory (CI)
#   tests/fuzz/run.sh --record              adds the number of inputs to docs/fuzzing.tsv, where they add up
#
# Targets (the head of fuzz_NAME.c says what an input is and what is demanded), with their shares in a hundred, which follow
# their speed:
#   requests 24, responses 24, records 20, headers 10   messages of the wire and of Kafka's internal topics
#   batch 4, compress 4       record batches, codecs
#   files 5, log 1            small files of a log directory, configuration files; a partition's folder
#   metadata 3                the metadata log and its snapshots
#   pcap 3                    captures, as `millrace decode` reads them
#   group 2                   the log of a group coordinator, which then lives on
#
# MILLRACE_FUZZ_BUILD is a folder that is built already (preset fuzz); else build/fuzz is made. An input that fails is kept
# in its corpus folder and named; `BUILD/tests/fuzz/fuzz_NAME FILE` runs it again. Inputs are at most 4096 bytes. An end by
# SIGINT counts what was run. The last line is `N passed, N failed`, counted in targets.
set -euo pipefail
cd "$(dirname "$0")/../.."
declare -A shares=([requests]=24 [responses]=24 [records]=20 [headers]=10 [batch]=4 [compress]=4 [files]=5 [log]=1 [metadata]=3
  [pcap]=3 [group]=2)
order=(requests responses records headers batch compress files log metadata pcap group)
runs=200000 only="" record=no seed=0
while [ $# -gt 0 ]; do
  case $1 in
    --runs) runs=${2:?--runs wants a number}; shift ;;
    --target) only=${2:?--target wants a name}; shift ;;
    --seed) seed=${2:?--seed wants a number}; shift ;;
    --record) record=yes ;;
    --list) printf '%s\n' "${order[@]}"; exit ;;
    --help | -h) sed -n '2,23s/^# \{0,1\}//p' "$0"; exit ;;
    *) echo "tests/fuzz/run.sh: unknown argument '$1' (see --help)" >&2; exit 2 ;;
  esac
  shift
done
[[ $runs =~ ^[1-9][0-9]*$ ]] || { echo "tests/fuzz/run.sh: --runs wants a number above 0, not '$runs'" >&2; exit 2; }
[ -z "$only" ] || [ -n "${shares[$only]:-}" ] || { echo "tests/fuzz/run.sh: no target '$only'; there are: ${order[*]}" >&2; exit 2; }

build=${MILLRACE_FUZZ_BUILD:-build/fuzz}
if [ -z "${MILLRACE_FUZZ_BUILD:-}" ]; then
  compiler=()
  command -v clang-14 >/dev/null || compiler=(-DCMAKE_C_COMPILER=clang) # Debian 13
  cmake --preset fuzz "${compiler[@]}" >/dev/null
  cmake --build --preset fuzz --target fuzz_targets
fi
bin=$build/tests/fuzz
for f in tests/fuzz/fuzz_*.c; do # a target without a share would never run
  n=${f##*/fuzz_} n=${n%.c}
  grep -q LLVMFuzzerTestOneInput "$f" || continue
  [ -n "${shares[$n]:-}" ] || { echo "tests/fuzz/run.sh: target '$n' has no share here" >&2; exit 2; }
  [ -x "$bin/fuzz_$n" ] || { echo "tests/fuzz/run.sh: $bin has no fuzz_$n; build the preset fuzz" >&2; exit 2; }
done

corpus=$build/corpus seeds=$build/seeds
rm -rf "$seeds"
for n in "${order[@]}"; do mkdir -p "$corpus/$n" "$seeds/$n"; done
find tests/data deploy -type f -size +0 \( -name '*.tsv' -path '*/vectors/*' -o -name '*.tsv.zst' -o -name '*.log' -o -name '*.checkpoint' \
  -o -name '*.snapshot' -o -name '*-checkpoint' -o -name '*.properties' -o -name partition.metadata \) -print0 |
  sort -z | xargs -0 "$bin/fuzz_seeds" "$seeds" >/dev/null

# Short call stacks of allocations and a small quarantine: three times the speed. Set ASAN_OPTIONS to run a finding again.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:malloc_context_size=2:quarantine_size_mb=4:allocator_release_to_os_interval_ms=-1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
passed=0 failed=0 total=0
for n in "${order[@]}"; do
  [ -z "$only" ] || [ "$n" = "$only" ] || continue
  share=$(((runs * shares[$n] + 99) / 100))
  [ -z "$only" ] || share=$runs
  log=$build/fuzz_$n.log
  start=$(date +%s)
  status=ok
  "$bin/fuzz_$n" -runs="$share" -seed="$seed" -max_len=4096 -reload=0 -rss_limit_mb=2048 -timeout=20 -artifact_prefix="$corpus/crash-$n-" \
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
