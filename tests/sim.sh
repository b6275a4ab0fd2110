#!/usr/bin/env bash
# Runs the simulator: production code on a simulated clock, disk and network, one run for each seed and scenario.
#
#   tests/sim.sh --ci                                 what CI runs: every scenario, as many seeds as the table below says
#   tests/sim.sh --seeds 1-10000                      the long run
#   tests/sim.sh --seeds 1-10000 --scenario coordinator    one scenario only: this one in minutes
#   tests/sim.sh --seeds 7-7 --scenario node --verbose       one run again, told in full
#   tests/sim.sh --seeds 1-400 --mutant fsync         a promise is broken on purpose: some run must notice
#   tests/sim.sh --mutants                            all such breaches, one after the other
#
# A run is a seed with a scenario; a passed run of --mutants is a breach that was noticed. Ends with
# `N passed, N failed`, and says for each failed run how to see it again. Uses the build directory
# $MILLRACE_BUILD, else build/dev, which it builds first. docs/TESTING.md says what is simulated.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in '' | --help | -h) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit ;; esac
build=${MILLRACE_BUILD:-build/dev}
if [ -z "${MILLRACE_BUILD:-}" ]; then
  cmake --preset dev >/dev/null
  cmake --build --preset dev --target millrace-sim >/dev/null
fi
sim=$build/tests/sim/millrace-sim
if [ "$1" = --mutants ]; then
  passed=0 failed=0
  for m in $("$sim" --list-mutants); do
    if "$sim" --seeds 1-2000 --mutant "$m"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
  done
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]
  exit
fi
if [ "$1" = --ci ]; then
  declare -A seeds=([storage]=300 [node]=300 [sweep]=300 [groups]=300 [coordinator]=300 [cluster]=50)
  passed=0 failed=0 log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  for s in storage node sweep groups coordinator cluster; do
    echo "scenario $s"
    "$sim" --seeds "1-${seeds[$s]}" --scenario "$s" | tee "$log" || true
    read -r p _ f _ < <(tail -n 1 "$log")
    passed=$((passed + p)) failed=$((failed + f))
  done
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]
  exit
fi
exec "$sim" "$@"
