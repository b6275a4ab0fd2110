#!/usr/bin/env bash
# An hour of kills, pauses, cuts, full disks and restarts under real clients (hour.py): tests/cluster/hour.sh [--minutes N] [--seed S] [--keep].
# The last line is `N passed, N failed`. Needs root, for small file systems; not part of CI. MILLRACE_BUILD names another build than build/release.
set -euo pipefail
cd "$(dirname "$0")/../.."
export MILLRACE_BUILD=${MILLRACE_BUILD:-build/release}
[ -x "$MILLRACE_BUILD/millrace" ] || { cmake --preset release >/dev/null; cmake --build --preset release; }
# Debian's librdkafka is 2.0.2, whose idempotent producer loses count after a request without an answer: it ends with "sequence desynchronization" or
# "rewound sequence number", or sends a batch twice (librdkafka issue 3584, mended in 2.4). So the producers here are a newer one.
client=${MILLRACE_CACHE:-$HOME/.cache/millrace-compat}/hour
if [ ! -e "$client/confluent-kafka-2.16.1" ]; then
  /usr/bin/python3 -m venv --system-site-packages "$client"
  "$client/bin/pip" install -q confluent-kafka==2.16.1
  touch "$client/confluent-kafka-2.16.1"
fi
exec "$client/bin/python" tests/cluster/hour.py "$@"
