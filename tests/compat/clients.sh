#!/usr/bin/env bash
# Other people's clients against one Millrace node (clients.py). Needs Go, Node.js with npm, Rust and Python with venv; not part of CI.
#
#   tests/compat/clients.sh [NAME...]      some of: sarama kafkago kafkajs kafka-python aiokafka confluent-kafka rskafka
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit ;; esac
cd "$(dirname "$0")/../.."
export MILLRACE_BUILD=${MILLRACE_BUILD:-build/release}
[ -x "$MILLRACE_BUILD/millrace" ] || { cmake --preset release >/dev/null; cmake --build --preset release; }
exec python3 tests/compat/clients.py "$@"
