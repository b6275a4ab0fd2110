#!/usr/bin/env bash
# Kafka's own tools through the cases of tests/data/tools/cases.tsv, against a Millrace node.
#
#   tests/tools/sessions.sh            compares with what is stored in tests/data/tools/expect; the last line is `N passed, N failed`
#   tests/tools/sessions.sh --store    stores what Kafka's tools print
#   tests/tools/sessions.sh --ours     stores what ours print where Kafka's are not asked (cases marked `ours`): read the difference!
#
# tests/run.sh tools compares our tools with what is stored. Needs Java and Maven (tests/oracle/kafka).
set -euo pipefail
cd "$(dirname "$0")/../.."
case ${1:-} in
  '' | --store | --ours) ;;
  *) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
export MILLRACE_BUILD=${MILLRACE_BUILD:-build/dev}
[ -x "$MILLRACE_BUILD/millrace" ] || { cmake --preset dev >/dev/null; cmake --build --preset dev; }
tests/oracle/kafka setup
exec /usr/bin/python3 tests/tools/sessions.py "$@"
