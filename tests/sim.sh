#!/usr/bin/env bash
# Runs the simulator: production code on a simulated clock, disk and network, one run for each seed and scenario.
#
#   tests/sim.sh --ci                                 what CI runs: every scenario, as many seeds as the table below says, and the breaches
#   tests/sim.sh --seeds 1-10000                      the long run
#   tests/sim.sh --seeds 1-10000 --scenario coordinator    one scenario only: this one in minutes
#   tests/sim.sh --seeds 1-20000 --scenario cluster --resume FILE    the same in pieces that FILE remembers: stop it, and go on later
#   tests/sim.sh --seeds 7-7 --scenario node --verbose       one run again, told in full
#   tests/sim.sh --seeds 1-400 --mutant fsync         a promise is broken on purpose: some run must notice
#   tests/sim.sh --mutants                            all such breaches, each by its own seeds
#
# A run is a seed with a scenario; a passed run of --mutants is a breach that was noticed. Ends with
# `N passed, N failed`, and says for each failed run how to see it again. Uses the build directory
# $MILLRACE_BUILD, else build/dev, which it builds first. docs/TESTING.md says what is simulated.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in '' | --help | -h) sed -n '2,14s/^# \{0,1\}//p' "$0"; exit ;; esac
build=${MILLRACE_BUILD:-build/dev}
if [ -z "${MILLRACE_BUILD:-}" ]; then
  cmake --preset dev >/dev/null
  cmake --build --preset dev --target millrace-sim >/dev/null
fi
sim=$build/tests/sim/millrace-sim
passed=0 failed=0

# Every breach by its own seeds.
mutants() {
  local name
  while read -r name; do
    if "$sim" --mutant "$name" >"$log"; then passed=$((passed + 1)); else failed=$((failed + 1)); cat "$log"; fi
    tail -n 1 "$log"
  done < <("$sim" --list-mutants)
}

# Seeds $1 to $2 of scenario $3 in pieces of 100, a line in the file $4 for each: scenario, first, last, passed, failed, commit.
resume() {
  local first last p f commit
  commit=$(git rev-parse --short HEAD 2>/dev/null || echo -)
  touch "$4"
  first=$(awk -F'\t' -v s="$3" -v n="$1" '$1 == s && $2 <= n && $3 >= n { n = $3 + 1 } END { print n }' "$4")
  for (( ; first <= $2; first = last + 1)); do
    last=$((first + 99 < $2 ? first + 99 : $2))
    "$sim" --seeds "$first-$last" --scenario "$3" >"$log" || grep -A 1 '^FAILED' "$log" || true
    read -r p _ f _ < <(tail -n 1 "$log")
    printf '%s\t%d\t%d\t%d\t%d\t%s\n' "$3" "$first" "$last" "$p" "$f" "$commit" >>"$4"
  done
  read -r passed failed < <(awk -F'\t' -v s="$3" '$1 == s { p += $4; f += $5 } END { print p + 0, f + 0 }' "$4")
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if [ "$1" = --mutants ]; then
  mutants
elif [ "$1" = --ci ]; then
  declare -A seeds=([storage]=300 [node]=300 [sweep]=300 [moves]=150 [groups]=150 [coordinator]=300 [quorum]=300 [cluster]=50 [plays]=30)
  for s in storage node sweep moves groups coordinator quorum cluster plays; do
    echo "scenario $s"
    "$sim" --seeds "1-${seeds[$s]}" --scenario "$s" | tee "$log" || true
    read -r p _ f _ < <(tail -n 1 "$log")
    passed=$((passed + p)) failed=$((failed + f))
  done
  if [ -x build/release/libexec/millrace/millrace-simulate ]; then # as it is installed, where that was built
    build/release/libexec/millrace/millrace-simulate --seeds 51-350 --scenario cluster | tee "$log" || true
    read -r p _ f _ < <(tail -n 1 "$log")
    passed=$((passed + p)) failed=$((failed + f))
  else
    echo "300 more seeds of scenario cluster are left out: there is no release build"
  fi
  mutants
elif [ "$1" = --seeds ] && [ "${3:-}" = --scenario ] && [ "${5:-}" = --resume ] && [ $# = 6 ]; then
  resume "${2%-*}" "${2#*-}" "$4" "$6"
else
  exec "$sim" "$@"
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
