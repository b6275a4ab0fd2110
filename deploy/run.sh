#!/usr/bin/env bash
# Installs what the build needs (Debian packages), builds Millrace, and runs one node in the foreground until Ctrl-C.
#
#   deploy/run.sh                    a node on localhost:9092, its data in millrace-data beside this folder
#   deploy/run.sh --data DIR         its data elsewhere
#   deploy/run.sh --port N           another port (the controller listens on N + 1)
#   deploy/run.sh --override K=V     a setting, as often as wanted: metrics.listener=http://127.0.0.1:9644 has the console
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
data=$root/millrace-data port=9092 settings=()
refuse() { echo "deploy/run.sh: $1" >&2; exit "${2:-1}"; }
while [ $# -gt 0 ]; do
  case $1 in
    --data) [ -n "${2:-}" ] || refuse "--data needs a folder" 2; data=$(realpath -m -- "$2"); shift 2 ;;
    --port) port=${2:-}; shift $(($# > 1 ? 2 : 1)) ;;
    --override) [[ ${2:-} == ?*=* ]] || refuse "--override '${2:-}': it is SETTING=VALUE" 2; settings+=(--override "$2"); shift 2 ;;
    --help | -h) sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit ;;
    *) refuse "unknown option '$1'; see --help" 2 ;;
  esac
done

# What can be said before the build is said before it; the node itself refuses the same, and more.
[[ $port =~ ^[1-9][0-9]{0,4}$ ]] && [ "$port" -le 65534 ] || refuse "--port '$port': it is a number from 1 to 65534" 2
for p in "$port" $((port + 1)); do
  ! (exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null || refuse "port $p is in use on this machine; name another with --port N (N and N + 1 must be free)"
done

cd "$root"
deploy/deps.sh build
# A first start is to be quick: the program alone, without link-time optimisation. A build folder that is there is used as it was configured.
[ -f build/release/build.ninja ] || cmake --preset release -DCMAKE_INTERPROCEDURAL_OPTIMIZATION=OFF >/dev/null
cmake --build --preset release --target millrace
bin=$root/build/release/millrace at=localhost:$port
cat <<NEXT

Millrace starts on $at, its data in $data. In another terminal:

  printf 'hello\nworld\n' | $bin console-producer --bootstrap-server $at --topic greetings
  $bin console-consumer --bootstrap-server $at --topic greetings --from-beginning --timeout-ms 2000
  $bin topics --bootstrap-server $at --list

the same in a consumer group (several share the partitions), and what happens in it:

  $bin console-consumer --bootstrap-server $at --topic greetings --group readers --from-beginning
  $bin consumer-groups --bootstrap-server $at --describe --group readers
  $bin consumer-groups --bootstrap-server $at --explain readers

or with any Kafka client, for example kcat (apt install kcat):

  kcat -P -b $at -t lines -l /var/lib/dpkg/status
  kcat -C -b $at -t lines -o beginning -e

Ctrl-C stops the node in good order.

NEXT
exec "$bin" server --data "$data" --port "$port" "${settings[@]}"
