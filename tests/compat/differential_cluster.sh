#!/usr/bin/env bash
# Administration of a cluster, the same seeded requests to three nodes of Millrace and three of Kafka: see differential_cluster.py. Needs
# Java 17, and Maven for the first time.
#
#   tests/compat/differential_cluster.sh [--seeds A-B] [--steps N] [--api ElectLeaders,...] [--whole]
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit ;; esac
cd "$(dirname "$0")/../.."
export MILLRACE_BUILD=${MILLRACE_BUILD:-build/release}
[ -x "$MILLRACE_BUILD/millrace" ] || { cmake --preset release >/dev/null; cmake --build --preset release; }
tests/oracle/kafka setup
exec /usr/bin/python3 tests/compat/differential_cluster.py "$@"
