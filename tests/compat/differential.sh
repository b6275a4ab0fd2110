#!/usr/bin/env bash
# Starts a fresh Millrace (produce.validation=deep) and a fresh Kafka, and compares their answers: see differential.py.
#
#   tests/compat/differential.sh [--seeds A-B] [--steps N]       needs Java 17 and Maven for Kafka
set -euo pipefail
cd "$(dirname "$0")/../.."
oracle=tests/oracle/kafka
build=${MILLRACE_BUILD:-build/release}
[ -x "$build/millrace" ] || { cmake --preset release >/dev/null; cmake --build --preset release; }
data=$(mktemp -d); name=differential-$$
cleanup() { kill "${node:-}" 2>/dev/null || true; $oracle wipe "$name" || true; rm -rf "$data"; }
trap cleanup EXIT
$oracle start "$name" listeners=PLAINTEXT://localhost:22192,CONTROLLER://localhost:22193 controller.quorum.voters=1@localhost:22193 num.partitions=1
"$build/millrace" server --data "$data/d" --port 22292 --override produce.validation=deep > "$data/log" 2>&1 & node=$!
for _ in $(seq 200); do (exec 3<>/dev/tcp/127.0.0.1/22292) 2>/dev/null && break; sleep 0.05; done
python3 tests/compat/differential.py --millrace 127.0.0.1:22292 --kafka localhost:22192 "$@"
