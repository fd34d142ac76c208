#!/usr/bin/env bash
# Installs what the tests need from Debian: a browser, and fonts so that pages have glyphs.
set -euo pipefail
cd "$(dirname "$0")/.."

has_font() {
    find /usr/share/fonts /usr/local/share/fonts "${HOME:-/root}/.fonts" "${HOME:-/root}/.local/share/fonts" \
        -name "$1" -print -quit 2>/dev/null | grep -q .
}

missing=()
[ -x /usr/bin/chromium ] || missing+=(chromium)
has_font 'DejaVuSans.ttf' || missing+=(fonts-dejavu-core)
has_font 'NotoColorEmoji.ttf' || missing+=(fonts-noto-color-emoji)

if [ "${#missing[@]}" -gt 0 ]; then
    scripts/install_packages.sh "${missing[@]}"
fi
