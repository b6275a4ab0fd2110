#!/usr/bin/env bash
# franz-go's own tests against a Millrace node (franz.py). Needs Go; not part of CI.
#
#   tests/compat/franz.sh [--list] [NAME...]
set -euo pipefail
case ${1:-} in --help | -h) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit ;; esac
cd "$(dirname "$0")/../.."
export MILLRACE_BUILD=${MILLRACE_BUILD:-build/release}
[ -x "$MILLRACE_BUILD/millrace" ] || { cmake --preset release >/dev/null; cmake --build --preset release; }
exec /usr/bin/python3 tests/compat/franz.py "$@"
