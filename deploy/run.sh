#!/usr/bin/env bash
# Installs what the build needs (Debian packages), builds Millrace, and runs one node in the foreground until Ctrl-C.
#
#   deploy/run.sh                    a node on localhost:9092, its data in ./millrace-data
#   deploy/run.sh --data DIR         its data elsewhere
#   deploy/run.sh --port N           another port (the controller listens on N + 1)
set -euo pipefail
cd "$(dirname "$0")/.."
data=millrace-data port=9092
while [ $# -gt 0 ]; do
  case $1 in
    --data) data=${2:?--data needs a folder}; shift 2 ;;
    --port) port=${2:?--port needs a number}; shift 2 ;;
    --help | -h) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit ;;
    *) echo "deploy/run.sh: unknown option '$1'; see --help" >&2; exit 2 ;;
  esac
done
deploy/deps.sh build
cmake --preset release >/dev/null
cmake --build --preset release
cat <<NEXT

Millrace starts on localhost:$port, data in $data. In another terminal:

  printf 'hello\nworld\n' | kcat -P -b localhost:$port -t greetings
  kcat -C -b localhost:$port -t greetings -o beginning -e
  $PWD/build/release/millrace topics --bootstrap-server localhost:$port --list

Ctrl-C stops it in good order.

NEXT
exec build/release/millrace server --data "$data" --port "$port"
