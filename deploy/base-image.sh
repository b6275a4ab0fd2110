#!/usr/bin/env bash
# Makes a Debian base image for deploy/Dockerfile on a machine that can pull none, from Debian's package archive alone.
#
#   deploy/base-image.sh                        this machine's Debian as millrace-base:SUITE, which is printed at the end
#   deploy/base-image.sh --suite trixie         another one
#   deploy/base-image.sh --tag NAME             under another name
#   deploy/base-image.sh --mirror URL           from another archive than the apt sources of this machine name
#   deploy/base-image.sh --tar FILE             into a file for `docker import`, when the engine is on another machine
#
# Then: docker build --build-arg BASE=millrace-base:SUITE -f deploy/Dockerfile -t millrace .
# It is debootstrap's smallest variant without manuals, translations and package lists: about what debian:SUITE-slim is.
# Needs root and debootstrap.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
refuse() { echo "deploy/base-image.sh: $1" >&2; exit "${2:-1}"; }
. /etc/os-release
suite=${VERSION_CODENAME:-bookworm} tag='' mirror='' tar=''
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit ;;
    --suite | --tag | --mirror | --tar)
      [ -n "${2:-}" ] || refuse "$1 needs a value" 2
      declare "${1#--}=$2"; shift 2 ;;
    *) refuse "unknown option '$1'; see --help" 2 ;;
  esac
done
tag=${tag:-millrace-base:$suite}
[ "$(id -u)" = 0 ] || refuse "debootstrap needs root"
command -v debootstrap >/dev/null || refuse "there is no debootstrap: deploy/deps.sh engine, or apt-get install debootstrap"
[ -n "$tar" ] || docker version >/dev/null 2>&1 || refuse "no Docker engine answers (docker version says why; deploy/deps.sh engine installs Debian's); --tar FILE needs none"

official=http://deb.debian.org
mirror=${mirror:-$(deploy/deps.sh uri "$suite")}; mirror=${mirror:-$official/debian}
security=$(deploy/deps.sh uri "$suite-security"); security=${security:-$official/debian-security}

# In memory, where dpkg's many flushes cost nothing, in a mount of this process alone: nothing is left behind when it is stopped.
if [ -z "${MILLRACE_BASE_MOUNTED:-}" ]; then
  MILLRACE_BASE_MOUNTED=1 exec unshare --mount --propagation private deploy/base-image.sh --suite "$suite" --tag "$tag" --mirror "$mirror" ${tar:+--tar "$(realpath -m -- "$tar")"}
fi
mount -t tmpfs -o size=1g,mode=755 millrace-base /mnt
root=/mnt/root
echo "Debian $suite from $mirror: a minute or more" >&2
debootstrap --variant=minbase "$suite" "$root" "$mirror" >/mnt/log 2>&1 || { tail -20 /mnt/log >&2; refuse "debootstrap failed"; }

# What apt installs later leaves the same things out.
cat > "$root/etc/dpkg/dpkg.cfg.d/slim" <<'CFG'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/lintian/*
CFG
find "$root/usr/share/doc" ! -type d ! -name copyright -delete
find "$root/usr/share/doc" -type d -empty -delete
for d in man info locale lintian; do
  if [ -d "$root/usr/share/$d" ]; then find "$root/usr/share/$d" -mindepth 1 -delete; fi
done
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/cache/debconf/*-old "$root"/var/log/* \
  "$root"/etc/resolv.conf "$root"/etc/hostname "$root"/etc/apt/sources.list
mkdir -p "$root/var/cache/apt/archives/partial"
printf '%s\n' '#!/bin/sh' 'exit 101' > "$root/usr/sbin/policy-rc.d" # nothing is started while packages are installed
chmod 755 "$root/usr/sbin/policy-rc.d"
cat > "$root/etc/apt/sources.list.d/debian.sources" <<SRC
Types: deb
URIs: $mirror
Suites: $suite $suite-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: $security
Suites: $suite-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SRC

pack() { tar -C "$root" --numeric-owner --one-file-system -c . ; }
if [ -n "$tar" ]; then pack > "$tar"; echo "$tar"; else pack | docker import --change 'CMD ["bash"]' - "$tag" >/dev/null; echo "$tag"; fi
