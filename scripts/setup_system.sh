#!/usr/bin/env bash
# setup_system.sh [matrix | campaign]: install the Debian packages that the tests need: three browsers, fonts
# for their pages, proxies, Redis, openssl for the proxies' certificates, and iproute2 for network
# namespaces. With `matrix`, also install the other proxies of the matrix; with `campaign`, Caddy.
set -euo pipefail
cd "$(dirname "$0")/.."

has_font() {
    find /usr/share/fonts /usr/local/share/fonts "${HOME:-/root}/.fonts" "${HOME:-/root}/.local/share/fonts" \
        -name "$1" -print -quit 2>/dev/null | grep -q .
}

missing=()
services=() # services that these packages would start
need() { # PACKAGE [SERVICE]
    missing+=("$1")
    [ $# -lt 2 ] || services+=("$2")
}
[ -x /usr/bin/chromium ] || need chromium
[ -x /usr/sbin/nginx ] || need nginx-light nginx
[ -x /usr/sbin/haproxy ] || need haproxy haproxy
[ -x /usr/sbin/lighttpd ] || need lighttpd lighttpd
[ -x /usr/bin/redis-server ] || need redis-server redis-server
[ -x /usr/bin/firefox-esr ] || need firefox-esr
[ -x /usr/bin/WebKitWebDriver ] || need webkit2gtk-driver
compgen -G '/usr/lib/*/webkit2gtk-4.1/MiniBrowser' >/dev/null || need libwebkit2gtk-4.1-0
[ -x /usr/bin/Xvfb ] || need xvfb
command -v ip >/dev/null || need iproute2
command -v openssl >/dev/null || need openssl
has_font 'DejaVuSans.ttf' || need fonts-dejavu-core
has_font 'NotoColorEmoji.ttf' || need fonts-noto-color-emoji
if [ "${1:-}" = matrix ] || [ "${1:-}" = campaign ]; then
    [ -x /usr/bin/caddy ] || need caddy caddy
fi
if [ "${1:-}" = matrix ]; then
    [ -x /usr/sbin/apache2 ] || need apache2-bin # only the program, without a service
    # Debian has two squid packages; only this one can inspect TLS.
    grep -q 'with-openssl' <(/usr/sbin/squid -v 2>/dev/null) || need squid-openssl squid
    [ -x /usr/bin/mitmdump ] || need mitmproxy
fi
[ "${#missing[@]}" -gt 0 ] || exit 0

# The tests run their own proxies, and the packages' services would occupy port 80. They are masked
# during the installation, so that they never start.
as_root=(env)
[ "$(id -u)" -eq 0 ] || as_root=(sudo -n env)
if [ "${#services[@]}" -eq 0 ]; then
    scripts/install_packages.sh "${missing[@]}"
elif [ -d /run/systemd/system ]; then
    "${as_root[@]}" systemctl mask --runtime "${services[@]}"
    status=0
    scripts/install_packages.sh "${missing[@]}" || status=$?
    "${as_root[@]}" systemctl unmask --runtime "${services[@]}"
    [ "$status" -eq 0 ] || exit "$status"
    "${as_root[@]}" systemctl disable "${services[@]}"
else
    scripts/install_packages.sh "${missing[@]}"
    # Without systemd, SysV init scripts may have started them.
    for service in "${services[@]}"; do
        [ ! -x "/etc/init.d/$service" ] || "${as_root[@]}" "/etc/init.d/$service" stop >/dev/null || true
    done
fi
