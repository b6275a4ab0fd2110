#!/usr/bin/env bash
# Starts a fresh Millrace (produce.validation=deep) and a fresh Kafka with the same settings, and compares their answers: see
# differential.py. Needs Java 17, and Maven for the first time.
#
#   tests/compat/differential.sh [--seeds A-B] [--steps N] [--api Fetch,Produce] [--whole]
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit ;; esac
cd "$(dirname "$0")/../.."
oracle=tests/oracle/kafka
build=${MILLRACE_BUILD:-build/release}
[ -x "$build/millrace" ] || { cmake --preset release >/dev/null; cmake --build --preset release; }
# Retention stays away: batches of any age are compared. One partition each for the topics that FindCoordinator makes.
settings=(num.partitions=1 group.initial.rebalance.delay.ms=0 log.retention.check.interval.ms=86400000
          offsets.topic.replication.factor=1 offsets.topic.num.partitions=1 transaction.state.log.replication.factor=1
          transaction.state.log.min.isr=1 share.coordinator.state.topic.replication.factor=1
          share.coordinator.state.topic.num.partitions=1 share.coordinator.state.topic.min.isr=1)
data=$(mktemp -d); name=differential-$$
cleanup() { kill "${node:-}" 2>/dev/null || true; $oracle wipe "$name" || true; rm -rf "$data"; }
trap cleanup EXIT
$oracle start "$name" listeners=PLAINTEXT://localhost:22192,CONTROLLER://localhost:22193 controller.quorum.voters=1@localhost:22193 \
  log.initial.task.delay.ms=86400000 "${settings[@]}"
"$build/millrace" server --data "$data/d" --port 22292 --override produce.validation=deep "${settings[@]/#/--override=}" > "$data/log" 2>&1 & node=$!
for _ in $(seq 200); do (exec 3<>/dev/tcp/127.0.0.1/22292) 2>/dev/null && break; sleep 0.05; done
python3 tests/compat/differential.py --millrace 127.0.0.1:22292 --kafka localhost:22192 "$@" || { tail -5 "$data/log"; exit 1; }
