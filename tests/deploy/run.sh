#!/usr/bin/env bash
# The tests of what people deploy. README.md here says what they need and what they leave behind.
#
#   tests/deploy/run.sh [PYTEST OPTION]...    all of them
#   tests/deploy/run.sh --figures             image size, time to ready, memory of the idle cluster
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
state=$PWD/build/deploy
mkdir -p "$state"
deploy/deps.sh build
deploy/deps.sh engine

# ---- an engine

run=''   # the folder of the engine that was started here
stop_engine() {
  [ -n "$run" ] || return 0
  local pid; pid=$(cat "$run/pid" 2>/dev/null || true)
  if [ -n "$pid" ]; then
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 150); do [ -d "/proc/$pid" ] || break; sleep 0.1; done
  fi
  rm -rf "$run"
  run=''
}
trap stop_engine EXIT

start_engine() {  # OPTION...: of dockerd; false if no engine answers
  run=$(mktemp -d /tmp/millrace-engine.XXXXXX)   # a socket's path must be short
  dockerd --data-root "$state/engine" --exec-root "$run/exec" --pidfile "$run/pid" -H "unix://$run/sock" "$@" >"$state/engine.log" 2>&1 &
  local pid=$!
  for _ in $(seq 300); do
    if docker -H "unix://$run/sock" version >/dev/null 2>&1; then export DOCKER_HOST=unix://$run/sock; return 0; fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  stop_engine
  return 1
}

why=''
if docker version >/dev/null 2>&1; then
  echo "deploy: the Docker engine that answers is used"
elif [ "$(id -u)" != 0 ]; then
  why='no Docker engine answers, and only root can start one'
elif start_engine || start_engine --storage-driver vfs; then
  # what an earlier run was stopped in the middle of
  docker ps -aq | xargs -r docker rm -fv >/dev/null
  docker network prune -f >/dev/null
  docker volume prune -f >/dev/null
  echo "deploy: an engine of its own, $(docker info -f '{{.ServerVersion}}, {{.Driver}}')"
else
  why="no Docker engine can be started here: $(grep -iE 'level=(fatal|error)|^failed' "$state/engine.log" | tail -1 || true)"
fi

# ---- program, packages and image

cmake --preset release >/dev/null
cmake --build --preset release
rm -rf "$state/packages"
(cd build/release && cpack -G DEB -B "$state/packages") >"$state/packages.log" 2>&1 || { tail -30 "$state/packages.log"; exit 1; }
export MILLRACE_PACKAGES=$state/packages
if [ -n "$why" ]; then
  echo "deploy: $why; what needs an engine is skipped"
  export MILLRACE_NO_ENGINE=$why
else
  . /etc/os-release
  export MILLRACE_BASE=millrace-base:$VERSION_CODENAME MILLRACE_IMAGE=millrace:test
  [ -n "$(docker images -q "$MILLRACE_BASE")" ] || deploy/base-image.sh --tag "$MILLRACE_BASE"
  deploy/image.sh --from build/release --base "$MILLRACE_BASE" --tag "$MILLRACE_IMAGE" >"$state/image.log" 2>&1 || { tail -30 "$state/image.log"; exit 1; }
  export MILLRACE_LIBRARIES=millrace-libraries:test   # a machine with all that the packages depend on
  docker build -q -f deploy/Dockerfile --target libraries --build-arg "BASE=$MILLRACE_BASE" --build-arg BUILT=build/image/millrace.tar -t "$MILLRACE_LIBRARIES" . >/dev/null 2>&1
fi

if [ "${1:-}" = --figures ]; then /usr/bin/python3 tests/deploy/figures.py; else /usr/bin/python3 -m pytest -q -rs tests/deploy -p no:cacheprovider "$@"; fi
