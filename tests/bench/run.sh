#!/usr/bin/env bash
# The figures of docs/PERFORMANCE.md on this machine, from a release build, the short way: ratios to a bare loop (conn_bench), of the
# ways of segment I/O (io_bench), to the bare minimum of a broker and to Kafka (versus; needs Java 17 and Maven), those of starting
# and of being idle (startup.py), of the monitor (monitor.py), and consumer groups, a cluster, the tools and the console (needs Chromium:
# tests/console/run.sh installs it) in small sizes: that all of them come to their end, not how fast.
#
#   tests/bench/run.sh            about fifteen minutes on a calm machine
#   tests/bench/run.sh --full     versus, groups, cluster, tools and console with all cells, as docs/PERFORMANCE.md has it: three hours
#
# Exit 1 if a figure of startup.py or monitor.py or a bar of the others does not hold; the machine's load is printed, because it decides what times mean.
set -euo pipefail
cd "$(dirname "$0")/../.."
full=${1:-}
case $full in
  '' | --full) ;;
  *) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
build=${MILLRACE_RELEASE:-build/release}
cmake --preset release -DMILLRACE_TESTS=ON -B "$build" >/dev/null
cmake --build "$build" --target millrace conn_bench io_bench crc_bench proto_bench group_bench
status=0
quick=$([ "$full" ] || echo --quick)
say() { printf '\n== %s (load %s)\n' "$1" "$(cut -d' ' -f1-3 /proc/loadavg)"; }

say 'a connection beside a bare loop'
"$build/tests/bench/conn_bench" 0.2 5
say 'the ways of bytes between files and sockets'
"$build/tests/bench/io_bench" /tmp 3
say 'crc32c'
"$build/tests/bench/crc_bench"
say 'codecs'
"$build/tests/bench/proto_bench"
say 'the core of the group coordinator'
"$build/tests/bench/group_bench"
say 'starting and being idle'
tests/bench/startup.py --build "$build" || status=1
say 'asking how a node is'
tests/bench/monitor.py --build "$build" || status=1
say 'consumer groups in small sizes: that answers are right, not how fast they come'
tests/bench/groups "$build/millrace" --quick || status=1
kafka=
! command -v java >/dev/null || ! command -v mvn >/dev/null || kafka=1
[ -z "$kafka" ] || tests/oracle/kafka setup
say 'a cluster: how long nobody can write when a node goes, what a replicated byte costs'
tests/bench/cluster "$build/millrace" $quick $([ "$kafka" ] || echo --no-kafka) || status=1
say 'the tools'
tests/bench/tools "$build/millrace" $quick $([ "$kafka" ] || echo --no-kafka) || status=1
say 'the console'
if command -v chromedriver >/dev/null && python3 -c 'import selenium' 2>/dev/null; then
  tests/bench/console "$build/millrace" $quick || status=1
else
  echo 'left out: it needs chromium, chromium-driver and python3-selenium'
fi
say 'beside Kafka and the bare minimum'
if [ "$kafka" ]; then
  out=$(mktemp)
  tests/bench/versus "$build/millrace" $quick | tee "$out" || status=1
  grep -q '^all hold$' "$out" || status=1
  rm -f "$out"
  [ -z "$full" ] || tests/bench/groups "$build/millrace" || status=1
else
  echo 'left out: it needs Java 17 and Maven'
fi
exit $status
