#!/usr/bin/env bash
# The console in a real headless Chromium: installs it (Debian's packages), then runs tests/console. Further words go to pytest.
#
#   tests/console/run.sh                    all of them
#   tests/console/run.sh -m 'not slow'      without what takes a minute of looking
set -euo pipefail
cd "$(dirname "$0")/../.."
missing=()
for p in chromium chromium-driver python3-selenium python3-pytest fonts-dejavu-core kcat; do
  dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done
if [ ${#missing[@]} -gt 0 ]; then
  as_root=() && [ "$(id -u)" = 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get -qq update
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends "${missing[@]}" >/dev/null
fi
exec /usr/bin/python3 -m pytest -q tests/console -p no:cacheprovider "$@"
