#!/usr/bin/env bash
# Real Kafka's group coordinator loads copies of a directory that Millrace wrote, serves its groups and offsets, and Millrace what Kafka went
# on with (open_groups.py). Needs Java 17 and Maven.
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,3s/^# \{0,1\}//p' "$0"; exit ;; esac
cd "$(dirname "$0")/../.."
export MILLRACE_BUILD=${MILLRACE_BUILD:-build/release}
[ -x "$MILLRACE_BUILD/millrace" ] || { cmake --preset release >/dev/null; cmake --build --preset release; }
tests/oracle/kafka setup
exec /usr/bin/python3 tests/oracle/open_groups.py
