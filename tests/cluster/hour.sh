#!/usr/bin/env bash
# An hour of kills, pauses, cuts, full disks and restarts under real clients (hour.py): tests/cluster/hour.sh [--minutes N] [--seed S] [--keep].
# The last line is `N passed, N failed`. Needs root, for small file systems; not part of CI. MILLRACE_BUILD names another build than build/release.
set -euo pipefail
cd "$(dirname "$0")/../.."
export MILLRACE_BUILD=${MILLRACE_BUILD:-build/release}
[ -x "$MILLRACE_BUILD/millrace" ] || { cmake --preset release >/dev/null; cmake --build --preset release; }
exec /usr/bin/python3 tests/cluster/hour.py "$@"
