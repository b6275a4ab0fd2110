#!/usr/bin/env bash
# Real Kafka opens copies of a directory that Millrace wrote, and Millrace what Kafka went on with (open_dir.py). Needs Java 17, Maven, kcat.
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,2s/^# \{0,1\}//p' "$0"; exit ;; esac
cd "$(dirname "$0")/../.."
export MILLRACE_BUILD=${MILLRACE_BUILD:-build/release}
[ -x "$MILLRACE_BUILD/millrace" ] || { cmake --preset release >/dev/null; cmake --build --preset release; }
tests/oracle/kafka setup
exec /usr/bin/python3 tests/oracle/open_dir.py
