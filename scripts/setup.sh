#!/bin/sh
# Makes sure of what Mayfly needs from the system, by the system's own package manager: quick and silent when nothing is missing.
#   scripts/setup.sh            what a broker needs
#   scripts/setup.sh --tests    and what its tests need: PostgreSQL, OpenBao, sshd, a registry, strace; OPA and Kubernetes where Go is there
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
tests=no
case "${1-}" in
  "") ;;
  --tests) tests=yes ;;
  *) echo "usage: scripts/setup.sh [--tests]" >&2; exit 2 ;;
esac

has() { command -v "$1" >/dev/null 2>&1; }

# The lock file is newer than what was installed from it, or nothing was.
if [ ! -x "$root/node_modules/.bin/node" ] || [ "$root/package-lock.json" -nt "$root/node_modules/.package-lock.json" ]; then
  echo "installing the npm packages, Node 24 among them" >&2
  (cd "$root" && npm ci --no-fund --no-audit --loglevel=error >&2)
fi

packages=
need() { packages="$packages $1"; }

PATH="$PATH:/usr/sbin:/sbin"
has crun || has runc || need crun
# crun 1.8 cannot start where cgroups are hybrid; runc can, and `mayfly doctor` says which one works.
has runc || need runc
[ -x /usr/bin/tini-static ] || has tini || need tini
has curl || need curl
has openssl || need openssl
if [ "$tests" = yes ]; then
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || need postgresql
  for wheel in openbao-*/bao seaweedfs-*/weed moto-*; do
    ls -d "${XDG_CACHE_HOME:-$HOME/.cache}"/mayfly-servers/$wheel >/dev/null 2>&1 || pip=yes
  done
  [ "${pip-no}" = no ] || python3 -m pip --version >/dev/null 2>&1 || need python3-pip
  has sshd || need openssh-server
  has docker-registry || need docker-registry
  has strace || need strace
  has xxd || need xxd
  has setpriv || need util-linux
  [ -x /usr/bin/python3 ] || need python3
fi

if [ -n "$packages" ]; then
  install="apt-get update && apt-get install --yes --no-install-recommends$packages"
  if ! has apt-get; then
    echo "missing:$packages; install them with this system's package manager" >&2
    exit 1
  elif [ "$(id -u)" = 0 ]; then
    become=
  elif has sudo && sudo -n true 2>/dev/null; then
    become="sudo -n"
  else
    echo "missing:$packages; run this once:" >&2
    echo "  sudo sh -c '$install'" >&2
    exit 1
  fi
  echo "installing$packages" >&2
  # A fresh package of a server would start it; the tests start their own.
  $become sh -c "export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1; ($install) >/dev/null" || {
    echo "apt-get could not install$packages; run this to see why:" >&2
    echo "  sudo sh -c '$install'" >&2
    exit 1
  }
fi

if [ "$tests" = yes ]; then
  has go || ls "${XDG_CACHE_HOME:-$HOME/.cache}"/mayfly-servers/opa-*/opa >/dev/null 2>&1 ||
    echo "there is no Go to build OPA and Kubernetes with, so their tests are skipped; everything else is there" >&2
  node="$root/node_modules/.bin/node"
  [ -x "$node" ] || node=node
  "$node" "$root/test/servers/fetch.ts"
fi
