#!/usr/bin/env bash
# Kafka's own tools through the cases of tests/data/tools/*.tsv, against a Millrace node.
#
#   tests/tools/sessions.sh [FILE.tsv]           compares with what is stored in tests/data/tools/expect; the last line is `N passed, N failed`
#   tests/tools/sessions.sh --store [FILE.tsv]   stores what Kafka's tools print
#   tests/tools/sessions.sh --kafka ...          the same against a node of Kafka's own; what is to differ there says so in front of its case
#   tests/tools/sessions.sh --ours [FILE.tsv]    stores what ours print where Kafka's are not asked (cases marked `ours`): read the difference!
#
# tests/run.sh tools compares our tools with what is stored. Needs Java and Maven (tests/oracle/kafka).
set -euo pipefail
cd "$(dirname "$0")/../.."
for w in "$@"; do
  case $w in
    --store | --ours | --kafka | *.tsv) ;;
    *) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
done
export MILLRACE_BUILD=${MILLRACE_BUILD:-build/dev}
[ -x "$MILLRACE_BUILD/millrace" ] || { cmake --preset dev >/dev/null; cmake --build --preset dev; }
tests/oracle/kafka setup
exec /usr/bin/python3 tests/tools/sessions.py "$@"
