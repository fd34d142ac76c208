"""The rows of the matrix: a proxy, its initial configuration, and its repair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tests.field.matrix.proxies import (
    APACHE,
    CADDY,
    HAPROXY,
    LIGHTTPD,
    MITMPROXY,
    NGINX,
    SQUID,
    Kind,
    Site,
)

Trial = Literal["", "idle", "reconnect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One case.

    Attributes:
        case: a description.
        site: the initial configuration.
        transport: the transport of the first round trip.
        cure: the decisive part of the repaired configuration, at most two lines. A line that begins
            with ``- `` is removed.
        good, around: the site that repairs the proxy, if it differs from that of the proxy's kind.
        short: whether the row is in the short form.
        servers: the number of servers, which share nothing; the second one is `<other>`.
        tls: whether the server itself uses TLS.
        trial: what happens before the repair, besides talking. *idle*: the page is silent until the
            connection was cut twice. *reconnect*: the page reconnects ten times.
        may_lose: whether a reset may report missing messages. Otherwise no message may be lost.
    """

    proxy: Kind
    case: str
    site: Site
    transport: str = "websocket"
    cure: tuple[str, ...] = ()
    good: str = ""
    around: str = ""
    short: bool = False
    servers: int = 1
    tls: bool = False
    trial: Trial = ""
    may_lose: bool = False

    @property
    def name(self) -> str:
        return f"{self.proxy.name}: {self.case}"

    @property
    def repaired(self) -> Site:
        """The repaired configuration."""
        return Site(self.good or self.proxy.good, self.around, self.site.tls)


# nginx

_PASS = "proxy_pass http://<app>;\n"
_HTTP11 = _PASS + "proxy_http_version 1.1;\nproxy_set_header Host $http_host;\n"
_DEAF = _HTTP11 + "proxy_ignore_headers X-Accel-Buffering;\n"
_UPGRADING = (
    "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;"
)
_BY_TURNS = "upstream two { server <app>; server <other>; }"
_KEPT = "upstream two { hash $remote_addr; server <app>; server <other>; }"
_GOOD_TWO = NGINX.good.replace("<app>", "two")

_NGINX = [
    Row(proxy=NGINX, case="good, TLS", site=Site(NGINX.good, tls="h1"), short=True),
    Row(
        proxy=NGINX,
        case="bare `proxy_pass`: HTTP/1.0, no Upgrade",
        site=Site(_PASS),
        transport="sse",
        cure=("proxy_http_version 1.1;", _UPGRADING),
        short=True,
    ),
    Row(
        proxy=NGINX,
        case="buffering on, TLS, HTTP/1.1; no Upgrade",
        site=Site(_HTTP11, tls="h1"),
        transport="sse",
        cure=(_UPGRADING, "proxy_buffering off;"),
    ),
    Row(
        proxy=NGINX,
        case="the same, `X-Accel-Buffering` ignored",
        site=Site(_DEAF, tls="h1"),
        transport="longpoll",
        cure=(_UPGRADING, "proxy_buffering off;"),
        short=True,
    ),
    Row(
        proxy=NGINX,
        case="the same over HTTP/2",
        site=Site(_DEAF, tls="h2"),
        transport="sse",
        cure=(_UPGRADING, "proxy_buffering off;"),
        short=True,
    ),
    Row(
        proxy=NGINX,
        case="the same without TLS",
        site=Site(_DEAF),
        transport="sse",
        cure=(_UPGRADING, "proxy_buffering off;"),
    ),
    Row(
        proxy=NGINX,
        case="gzip of everything, TLS; no Upgrade",
        site=Site(
            _HTTP11 + "gzip on;\ngzip_proxied any;\ngzip_min_length 1;\n"
            "gzip_types text/event-stream application/json application/x-ndjson;\n",
            tls="h1",
        ),
        transport="sse",
        cure=(_UPGRADING, "proxy_buffering off;"),
    ),
    Row(
        proxy=NGINX,
        case="read timeout 5 s",
        site=Site(NGINX.good.replace("1h", "5s")),
        cure=("proxy_read_timeout 1h;",),
        trial="idle",
    ),
    Row(
        proxy=NGINX,
        case="two servers, a page kept to one",
        site=Site(_GOOD_TWO, _KEPT),
        good=_GOOD_TWO,
        around=_KEPT,
        servers=2,
    ),
    Row(
        proxy=NGINX,
        case="two servers by turns; ten reconnects",
        site=Site(_GOOD_TWO, _BY_TURNS),
        good=_GOOD_TWO,
        around=_KEPT,
        cure=("hash $remote_addr;",),
        servers=2,
        trial="reconnect",
        may_lose=True,
    ),
    Row(
        proxy=NGINX,
        case="two servers by turns; no Upgrade",
        site=Site(_HTTP11.replace("<app>", "two"), _BY_TURNS),
        transport="sse",
        good=_GOOD_TWO,
        around=_KEPT,
        cure=("hash $remote_addr;", _UPGRADING),
        servers=2,
        may_lose=True,
    ),
]

# HAProxy

_SERVER = "server a <app>\n"
_STRIPPED = "http-request del-header upgrade\n"
_COOKIES = (
    "timeout tunnel 1h\ncookie SERVER insert indirect nocache\n"
    "server a <app> cookie a\nserver b <other> cookie b\n"
)

_HAPROXY = [
    Row(proxy=HAPROXY, case="good, TLS, HTTP/2", site=Site(HAPROXY.good, tls="h2"), short=True),
    Row(
        proxy=HAPROXY,
        case="Upgrade stripped",
        site=Site(_STRIPPED + _SERVER),
        transport="sse",
        cure=("- http-request del-header upgrade", "timeout tunnel 1h"),
        short=True,
    ),
    Row(
        proxy=HAPROXY,
        case="gzip, Upgrade stripped",
        site=Site(
            _STRIPPED + "compression algo gzip\n"
            "compression type text/event-stream application/json application/x-ndjson\n" + _SERVER
        ),
        transport="sse",
        cure=("- http-request del-header upgrade", "timeout tunnel 1h"),
    ),
    Row(
        proxy=HAPROXY,
        case="waits for bodies, Upgrade stripped",
        site=Site(_STRIPPED + "http-response wait-for-body time 30s at-least 16k\n" + _SERVER),
        transport="longpoll",
        cure=(
            "- http-request del-header upgrade",
            "- http-response wait-for-body time 30s at-least 16k",
        ),
    ),
    Row(
        proxy=HAPROXY,
        case="timeouts 5 s, Upgrade stripped",
        site=Site(_STRIPPED + "timeout server 5s\n" + _SERVER),
        transport="sse",
        cure=("- http-request del-header upgrade", "timeout tunnel 1h"),
        trial="idle",
    ),
    Row(
        proxy=HAPROXY,
        case="upgrade accepted by a route of its own, then frozen",
        site=Site(
            "use-server frozen if { path_end /websocket } { hdr(upgrade) -m found }\n"
            "server frozen <mute> weight 0\n" + _SERVER
        ),
        transport="sse",
        cure=("- server frozen <mute> weight 0",),
        short=True,
    ),
    Row(
        proxy=HAPROXY,
        case="two servers, a page kept to one by a cookie",
        site=Site(_COOKIES),
        good=_COOKIES,
        servers=2,
        trial="reconnect",
    ),
]

# lighttpd

_LIGHTTPD_SERVER = 'proxy.server = ("" => (("host" => "127.0.0.1", "port" => <app-port>)))\n'
_LIGHTTPD_CURE = ('proxy.header = ("upgrade" => "enable")', "server.stream-response-body = 2")

_LIGHTTPD = [
    Row(proxy=LIGHTTPD, case="good", site=Site(LIGHTTPD.good)),
    Row(
        proxy=LIGHTTPD,
        case="default: buffers all, no Upgrade",
        site=Site(_LIGHTTPD_SERVER),
        transport="longpoll",
        cure=_LIGHTTPD_CURE,
        short=True,
    ),
    Row(
        proxy=LIGHTTPD,
        case="streams, no Upgrade",
        site=Site("server.stream-response-body = 2\n" + _LIGHTTPD_SERVER),
        transport="sse",
        cure=_LIGHTTPD_CURE,
    ),
]

# Caddy

_CADDY_CURE = ("- header_up -Upgrade",)


def _caddy(*lines: str, before: str = "") -> str:
    return f"{before}reverse_proxy <app> {{\n" + "\n".join(lines) + "\n}\n"


_CADDY = [
    Row(proxy=CADDY, case="default", site=Site(CADDY.good)),
    Row(proxy=CADDY, case="default, TLS, HTTP/2", site=Site(CADDY.good, tls="h2")),
    Row(
        proxy=CADDY,
        case="Upgrade stripped",
        site=Site(_caddy("header_up -Upgrade")),
        transport="sse",
        cure=_CADDY_CURE,
    ),
    Row(
        proxy=CADDY,
        case="gzip, TLS, HTTP/2, Upgrade stripped",
        site=Site(
            _caddy(
                "header_up -Upgrade",
                before="encode {\ngzip\nmatch status 2xx\nminimum_length 1\n}\n",
            ),
            tls="h2",
        ),
        transport="sse",
        cure=_CADDY_CURE,
    ),
    Row(
        proxy=CADDY,
        case="`buffer_responses`, Upgrade stripped",
        site=Site(_caddy("header_up -Upgrade", "buffer_responses")),
        transport="longpoll",
        cure=(*_CADDY_CURE, "- buffer_responses"),
    ),
]

# Apache httpd

_APACHE_PASS = "ProxyPreserveHost On\nProxyPass / http://<app>/\n"
_APACHE_CURE = ("ProxyPass / http://<app>/ upgrade=websocket",)

_APACHE = [
    Row(proxy=APACHE, case="good, TLS", site=Site(APACHE.good, tls="h1")),
    Row(
        proxy=APACHE,
        case="bare `ProxyPass`: no Upgrade",
        site=Site("ProxyPass / http://<app>/\n"),
        transport="sse",
        cure=_APACHE_CURE,
    ),
    Row(
        proxy=APACHE,
        case="gzip, no Upgrade",
        site=Site(
            "AddOutputFilterByType DEFLATE text/event-stream application/json\n" + _APACHE_PASS
        ),
        transport="sse",
        cure=_APACHE_CURE,
    ),
    Row(
        proxy=APACHE,
        case="timeout 5 s, no Upgrade",
        site=Site("ProxyTimeout 5\n" + _APACHE_PASS),
        transport="sse",
        cure=(*_APACHE_CURE, "ProxyTimeout 3600"),
        trial="idle",
    ),
]

# Forward proxies, and inspection of TLS

_SQUID_PACKAGED = "acl SSL_ports port 443\nhttp_access deny CONNECT !SSL_ports\n"
_BUMP = "ssl_bump bump all\nsslproxy_cert_error allow all\n"
_UPGRADES = "http_upgrade_request_protocols websocket allow all"

_FORWARD = [
    Row(proxy=SQUID, case="forward; CONNECT to the server's port", site=Site(SQUID.good)),
    Row(
        proxy=SQUID,
        case="forward; CONNECT to 443 alone, as packaged",
        site=Site(_SQUID_PACKAGED),
        transport="sse",
        cure=("acl Web_ports port <app-port>", "http_access deny CONNECT !Web_ports"),
    ),
    Row(
        proxy=SQUID,
        case="inspects TLS; Upgrade dropped, as by default",
        site=Site(_BUMP, tls="h1"),
        tls=True,
        transport="sse",
        good=_BUMP + _UPGRADES + "\n",
        cure=(_UPGRADES,),
    ),
    Row(proxy=MITMPROXY, case="inspects TLS", site=Site(MITMPROXY.good), tls=True),
    Row(
        proxy=MITMPROXY,
        case="inspects TLS, without WebSocket",
        site=Site("websocket: false\nrawtcp: false"),
        tls=True,
        transport="longpoll",
        cure=("websocket: true", 'stream_large_bodies: "1"'),
    ),
    Row(
        proxy=MITMPROXY,
        case="inspects TLS; upgrade accepted, then frozen",
        site=Site("scripts: [<here>/freeze.py]"),
        tls=True,
        transport="longpoll",
        cure=("websocket: true", 'stream_large_bodies: "1"'),
    ),
]

ROWS = [*_NGINX, *_HAPROXY, *_CADDY, *_APACHE, *_LIGHTTPD, *_FORWARD]
