#!/usr/bin/env bash
# install_packages.sh PACKAGE…: install Debian packages, or print how to do so and fail.
set -euo pipefail

install=(apt-get install -y --no-install-recommends "$@")

if ! command -v apt-get >/dev/null; then
    echo "Missing: $* (Debian package names). Install them with this system's package manager." >&2
    exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=(env)
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n env)
else
    echo "Debian packages are missing, and this user may not install them. Run this, then try again:" >&2
    echo "    sudo apt-get update && sudo ${install[*]}" >&2
    exit 1
fi

echo "Installing Debian packages: $*"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() {
    "${as_root[@]}" DEBIAN_FRONTEND=noninteractive "$@" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
}
quietly apt-get -o DPkg::Lock::Timeout=300 update
quietly "${install[@]}" -o DPkg::Lock::Timeout=300
