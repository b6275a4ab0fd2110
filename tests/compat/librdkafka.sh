#!/usr/bin/env bash
# librdkafka's own test suite against a Millrace node (librdkafka.py). Needs npm and a C++ compiler; not part of CI.
#
#   tests/compat/librdkafka.sh [--jobs N] [--full] [--list] [NAME...]
set -euo pipefail
cd "$(dirname "$0")/../.."
export MILLRACE_BUILD=${MILLRACE_BUILD:-build/release}
[ -x "$MILLRACE_BUILD/millrace" ] || { cmake --preset release >/dev/null; cmake --build --preset release; }
exec /usr/bin/python3 tests/compat/librdkafka.py "$@"
