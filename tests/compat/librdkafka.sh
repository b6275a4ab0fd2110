#!/usr/bin/env bash
# librdkafka's own test suite against a Millrace node (librdkafka.py). Needs npm and a C++ compiler; not part of CI.
#
#   tests/compat/librdkafka.sh [--jobs N] [--full] [--list] [NAME...]
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit ;; esac
cd "$(dirname "$0")/../.."
export MILLRACE_BUILD=${MILLRACE_BUILD:-build/release}
[ -x "$MILLRACE_BUILD/millrace" ] || { cmake --preset release >/dev/null; cmake --build --preset release; }
exec /usr/bin/python3 tests/compat/librdkafka.py "$@"
