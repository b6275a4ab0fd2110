#!/usr/bin/env bash
# Kafka's metadata-shell and dump-log read the metadata log and a snapshot that Millrace wrote (metadata_shell.py). Needs Java 17 and Maven.
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,2s/^# \{0,1\}//p' "$0"; exit ;; esac
cd "$(dirname "$0")/../.."
export MILLRACE_BUILD=${MILLRACE_BUILD:-build/release}
[ -x "$MILLRACE_BUILD/millrace" ] || { cmake --preset release >/dev/null; cmake --build --preset release; }
tests/oracle/kafka setup
exec /usr/bin/python3 tests/oracle/metadata_shell.py
