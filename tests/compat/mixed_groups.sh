#!/usr/bin/env bash
# Groups whose members are of two kinds, librdkafka and Kafka's Java consumer: they share a group, one leaves or is killed, the node is
# killed under them; and what Kafka's own classes read in __consumer_offsets (mixed_groups.py). Needs Java 17 and Maven; not part of CI.
#
#   tests/compat/mixed_groups.sh [NAME...]      NAME: part of a check's name
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit ;; esac
cd "$(dirname "$0")/../.."
export MILLRACE_BUILD=${MILLRACE_BUILD:-build/release}
[ -x "$MILLRACE_BUILD/millrace" ] || { cmake --preset release >/dev/null; cmake --build --preset release; }
tests/oracle/kafka setup
exec /usr/bin/python3 tests/compat/mixed_groups.py "$@"
