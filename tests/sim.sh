#!/usr/bin/env bash
# Runs the simulator: production code on a simulated clock, disk and network, one run for each seed and scenario.
#
#   tests/sim.sh --seeds 1-300                        what CI runs
#   tests/sim.sh --seeds 1-10000                      the long run
#   tests/sim.sh --seeds 7-7 --scenario storage --verbose    one run again, told in full
#   tests/sim.sh --seeds 1-200 --mutant fsync         the world breaks a promise: some run must notice
#   tests/sim.sh --mutants                            all of these, one after the other
#
# Ends with `N passed, N failed`. Uses the build directory $MILLRACE_BUILD, else build/dev, which it builds first.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in '' | --help | -h) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit ;; esac
build=${MILLRACE_BUILD:-build/dev}
if [ -z "${MILLRACE_BUILD:-}" ]; then
  cmake --preset dev >/dev/null
  cmake --build --preset dev --target millrace-sim >/dev/null
fi
sim=$build/tests/sim/millrace-sim
if [ "$1" = --mutants ]; then
  passed=0 failed=0
  for m in fsync fsync-dir kill tear; do
    if "$sim" --seeds 1-2000 --mutant "$m"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
  done
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]
  exit
fi
exec "$sim" "$@"
