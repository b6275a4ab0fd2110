#!/usr/bin/env bash
# Kafka's own Java tools against a cluster of three controllers and three brokers (java_tools.py). Needs Java 17 and Maven; not part of CI.
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,2s/^# \{0,1\}//p' "$0"; exit ;; esac
cd "$(dirname "$0")/../.."
export MILLRACE_BUILD=${MILLRACE_BUILD:-build/release}
[ -x "$MILLRACE_BUILD/millrace" ] || { cmake --preset release >/dev/null; cmake --build --preset release; }
tests/oracle/kafka setup
exec /usr/bin/python3 tests/cluster/java_tools.py "$@"
