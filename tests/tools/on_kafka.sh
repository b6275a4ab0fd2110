#!/usr/bin/env bash
# Our tools that look at a cluster, move replicas and elect leaders, against brokers of Kafka's own, judged by Kafka's tools (on_kafka.py). Needs Java 17
# and Maven; not part of CI.
#
#   tests/tools/on_kafka.sh [PART...]    the parts are those of on_kafka.py's main(); the last line is `N passed, N failed`
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit ;; esac
cd "$(dirname "$0")/../.."
export MILLRACE_BUILD=${MILLRACE_BUILD:-build/release}
[ -x "$MILLRACE_BUILD/millrace" ] || { cmake --preset release >/dev/null; cmake --build --preset release --target millrace; }
tests/oracle/kafka setup
exec /usr/bin/python3 tests/tools/on_kafka.py "$@"
