#!/bin/sh
# Runs a command as root, by sudo where that is needed, with the PATH, home and settings of whoever asks.
#   scripts/as-root.sh COMMAND [ARGUMENT...]
set -eu
[ "$(id -u)" = 0 ] && exec "$@"
command -v sudo >/dev/null 2>&1 || { echo "sandboxes take root, and there is no sudo: run this as root" >&2; exit 1; }
exec sudo env PATH="$PATH" HOME="$HOME" XDG_CACHE_HOME="${XDG_CACHE_HOME:-$HOME/.cache}" \
  CI="${CI:-}" NO_COLOR="${NO_COLOR:-}" MAYFLY_REQUIRE_SERVERS="${MAYFLY_REQUIRE_SERVERS:-}" "$@"
