#!/usr/bin/env bash
# Installs what the tests need from Debian: a browser, fonts so that pages have glyphs, a proxy, and
# what makes it a certificate.
set -euo pipefail
cd "$(dirname "$0")/.."

has_font() {
    find /usr/share/fonts /usr/local/share/fonts "${HOME:-/root}/.fonts" "${HOME:-/root}/.local/share/fonts" \
        -name "$1" -print -quit 2>/dev/null | grep -q .
}

missing=()
[ -x /usr/bin/chromium ] || missing+=(chromium)
[ -x /usr/sbin/nginx ] || missing+=(nginx-light)
command -v openssl >/dev/null || missing+=(openssl)
has_font 'DejaVuSans.ttf' || missing+=(fonts-dejavu-core)
has_font 'NotoColorEmoji.ttf' || missing+=(fonts-noto-color-emoji)

if [ "${#missing[@]}" -gt 0 ]; then
    scripts/install_packages.sh "${missing[@]}"
    # The tests run an nginx of their own. The one that its package starts is not wanted on port 80.
    if [[ " ${missing[*]} " == *" nginx-light "* ]] && [ -d /run/systemd/system ]; then
        as_root=(env)
        [ "$(id -u)" -eq 0 ] || as_root=(sudo -n env)
        "${as_root[@]}" systemctl disable --now nginx
    fi
fi
