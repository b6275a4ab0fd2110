#!/usr/bin/env bash
# Installs what the tests need, builds Millrace with the sanitizers, and runs tests.
#
#   tests/run.sh                 what CI runs: the suites that are whole so far, tidy unit sim compat tools cluster deploy fuzz
#   tests/run.sh NAME...         some of: tidy unit sim compat tools cluster deploy fuzz console bench
#   tests/run.sh --list          the names, a line each
#
# Slow suites have commands of their own, which end with `N passed, N failed` too:
#   tests/sim.sh --seeds 1-10000          the long simulation
#   tests/sim.sh --mutants                broken promises that the simulation must notice
#   tests/fuzz/run.sh --runs 100000000    the long fuzz
#   tests/vectors.sh FILE...              any file of golden vectors or recorded sessions
#   tests/compat/java.sh                  Kafka's Java tools          (needs Java and Maven)
#   tests/tools/sessions.sh               our tools beside Kafka's      (needs Java and Maven)
#   tests/tools/on_kafka.sh               our tools against Kafka's brokers (needs Java and Maven)
#   tests/compat/librdkafka.sh            librdkafka's own tests      (needs npm)
#   tests/compat/franz.sh                 franz-go's own tests        (needs Go)
#   tests/compat/clients.sh               sarama, kafka-go, kafkajs ... (needs Go, npm, Rust, Python)
#   tests/compat/mixed_groups.sh          librdkafka and Java share groups (needs Java and Maven)
#   CLUSTER_TESTS= tests/run.sh cluster   all tests of real clusters
#   tests/deploy/run.sh                   all tests of image, compose, packages
#   tests/oracle/open_dir.sh              Kafka opens our directory   (needs Java and Maven)
#   tests/oracle/open_groups.sh           Kafka opens our groups      (needs Java and Maven)
#   tests/compat/differential.sh          the same requests to Millrace and Kafka
#   tests/bench/versus                    beside Kafka and the bare minimum
#   tests/bench/groups                    the group coordinator beside Kafka's
#   tests/bench/cluster                   three controllers and three brokers beside Kafka's
#   tests/bench/console                   first paint of the console, and what looking costs
#   tests/bench/tools                     how long the admin tools take, beside Kafka's
#   tests/cluster/java_tools.sh           Kafka's Java tools on a cluster (needs Java and Maven)
#   tests/cluster/hour.sh                 an hour of faults under clients (needs root)
set -euo pipefail
cd "$(dirname "$0")/.."
names=(tidy unit sim compat tools cluster deploy fuzz console bench)
computing=(tidy unit sim fuzz tools) # what CI runs: these, and at the same time
waiting=(compat cluster deploy)      # these, whose processes wait for each other most of the time

case ${1:-} in
  --help | -h) sed -n '2,31s/^# \{0,1\}//p' "$0"; exit ;;
  --list) printf '%s\n' "${names[@]}"; exit ;;
esac
for n in "$@"; do
  [[ " ${names[*]} " == *" $n "* ]] || { echo "tests/run.sh: no suite '$n'; there are: ${names[*]}" >&2; exit 2; }
done
[ $# -gt 0 ] && suites=("$@") || suites=("${computing[@]}" "${waiting[@]}")

deploy/deps.sh test
build=${MILLRACE_BUILD:-build/dev}
if [ -z "${MILLRACE_BUILD:-}" ]; then
  cmake --preset dev >/dev/null
  cmake --build --preset dev
fi
build=$(cd "$build" && pwd)
export MILLRACE_BUILD=$build
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}

run_tidy() { tests/tidy/tidy.py && /usr/bin/python3 -m pytest -q tests/tidy -p no:cacheprovider; }
run_unit() { ctest --test-dir "$build" --output-on-failure -j "$(nproc)" -L unit; }
run_sim() { if [ -n "${SIM_SEEDS:-}" ]; then tests/sim.sh --seeds "$SIM_SEEDS"; else tests/sim.sh --ci; fi; }
run_compat() { /usr/bin/python3 -m pytest -q tests/compat -p no:cacheprovider; }
run_tools() { /usr/bin/python3 -m pytest -q tests/tools -p no:cacheprovider; }
run_cluster() { deploy/deps.sh prometheus || echo "cluster: the alerts' tests are skipped"; /usr/bin/python3 -m pytest -q tests/cluster -p no:cacheprovider -m "${CLUSTER_TESTS-not slow}"; }
run_deploy() { tests/deploy/run.sh -m "${DEPLOY_TESTS-not slow}"; }
run_fuzz() { tests/fuzz/run.sh --runs "${FUZZ_RUNS:-200000}" --seed 1; }
run_console() { tests/console/run.sh; }
run_bench() { tests/bench/run.sh; }

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# cpu: seconds of the processor that this shell has run and waited for. Not in a subshell, which would count its own.
count_cpu() {
  local file=$out/times.$BASHPID
  times >"$file"
  cpu=$(awk 'NR == 2 { for (i = 1; i <= 2; i++) { split($i, t, "m"); s += 60 * t[1] + t[2] } print int(s) }' "$file")
}

# One suite, with its times; $out/ended notes how it ended.
suite() {
  local start=$SECONDS before
  count_cpu; before=$cpu
  echo "== $1"
  if "run_$1"; then echo "$1 passed" >>"$out/ended"; else echo "$1 failed" >>"$out/ended"; fi
  count_cpu
  echo "== $1: $((SECONDS - start)) s, $((cpu - before)) s of processor"
}

# Suites one after another, the output of each in one piece.
lane() {
  local s
  for s in "$@"; do
    suite "$s" >"$out/$s" 2>&1
    flock "$out" cat "$out/$s"
  done
}

if [ $# -gt 0 ]; then
  for s in "${suites[@]}"; do suite "$s"; done
else # what computes, beside what waits: side by side they take two thirds of the time
  trap 'trap - TERM; kill 0' INT TERM # both sides
  (renice -n 10 "$BASHPID" >/dev/null; lane "${computing[@]}") &
  lane "${waiting[@]}"
  wait
fi
failed=$(awk '$2 == "failed" { printf " %s", $1 }' "$out/ended")
[ -z "$failed" ] || echo "failed:$failed"
echo "suites: $(grep -c ' passed$' "$out/ended") passed, $(wc -w <<<"$failed") failed"
[ -z "$failed" ] && [ "$(wc -l <"$out/ended")" = ${#suites[@]} ]
