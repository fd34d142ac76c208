"""Real proxies: how each is started, configured, reloaded and stopped.

    async with proxying(NGINX, site, {"app": server.port}) as proxy:
        ...  # talk to proxy.port
        await proxy.configure(another_site)  # reloaded under whoever talks

What differs from case to case is a `Site`. In its text `<app>` stands for the address of the
server, `<app-port>` for its port; and so on for others that are behind the proxy.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import anyio

from tests.support.servers.nginx import CONFIGURATION
from tests.support.servers.nginx import EXECUTABLE as NGINX_EXECUTABLE
from tests.support.servers.process import Process, free_ports, make_certificate

Tls = Literal["", "h1", "h2"]


@dataclass(frozen=True, slots=True)
class Site:
    """What a proxy is told of the one site that it serves.

    Attributes:
        body: in the place where the proxy's frame has ``<body>``.
        around: where it has ``<around>``.
        tls: whether TLS ends here, and with which version of HTTP.
    """

    body: str
    around: str = ""
    tls: Tls = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """A program that is a proxy.

    Attributes:
        frame: its configuration, with the site left out; in its folder it is the ``file``.
        good: the body of a site for which it does all that it can.
        command: how to run it in the foreground, in that folder.
        reload: the signal or the command by which it reads that anew; none where it has to be
            restarted.
        tls: what ``<tls>`` is, for each.
        forward: whether browsers are told of it, and ask it for the server's own URL.
    """

    name: str
    frame: str
    good: str
    command: tuple[str, ...]
    reload: signal.Signals | tuple[str, ...] | None
    tls: dict[Tls, str]
    forward: bool = False
    file: str = "conf"


_NGINX_MAIN = """\
<user>
worker_processes 1;
worker_shutdown_timeout 500ms;"""

_NGINX_SERVERS = """\
    <around>
    server { listen 127.0.0.1:<ready>; return 204; }
    server {
        listen 127.0.0.1:<port><tls>;
        location / {
            <body>
        }
    }"""

NGINX = Kind(
    "nginx",
    CONFIGURATION.replace("<main>", _NGINX_MAIN).replace("<servers>", _NGINX_SERVERS),
    """\
proxy_pass http://<app>;
proxy_http_version 1.1;
proxy_set_header Host $http_host;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $connection_upgrade;
proxy_buffering off;
proxy_read_timeout 1h;
""",
    (NGINX_EXECUTABLE, "-p", "<folder>", "-c", "conf", "-e", "stderr"),
    signal.SIGHUP,
    {"": "", "h1": " ssl", "h2": " ssl http2"},
)

HAPROXY = Kind(
    "HAProxy",
    """\
global
    hard-stop-after 500ms
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend site
    bind 127.0.0.1:<port><tls>
    default_backend app
backend app
    <body>
frontend ready
    bind 127.0.0.1:<ready>
    http-request return status 204
<around>
""",
    """\
timeout tunnel 1h
option forwardfor
option http-no-delay
server a <app>
""",
    ("/usr/sbin/haproxy", "-W", "-db", "-f", "conf"),
    signal.SIGUSR2,
    {
        "": "",
        "h1": " ssl crt both.pem alpn http/1.1",
        "h2": " ssl crt both.pem alpn h2,http/1.1",
    },
)

LIGHTTPD = Kind(
    "lighttpd",
    """\
server.port = <port>
server.bind = "127.0.0.1"
server.document-root = "<folder>"
server.errorlog = "/dev/stderr"
server.modules = ("mod_proxy", "mod_setenv")
server.feature-flags += ("server.graceful-shutdown-timeout" => 1)
<body>
$SERVER["socket"] == "127.0.0.1:<ready>" { proxy.server = () }
""",
    """\
server.stream-response-body = 2
proxy.header = ("upgrade" => "enable")
proxy.server = ("" => (("host" => "127.0.0.1", "port" => <app-port>)))
""",
    ("/usr/sbin/lighttpd", "-D", "-f", "<folder>/conf"),
    signal.SIGUSR1,
    {"": ""},
)

_CADDY_ADMIN = "unix/<folder>/admin"
CADDY = Kind(
    "Caddy",
    f"""\
{{
    admin {_CADDY_ADMIN}
    auto_https off
    skip_install_trust
    grace_period 500ms
}}
http://127.0.0.1:<ready> {{
    bind 127.0.0.1
    respond 204
}}
<scheme>://127.0.0.1:<port> {{
    bind 127.0.0.1
    <tls>
    <body>
}}
""",
    """\
reverse_proxy <app>
""",
    ("/usr/bin/caddy", "run", "--config", "conf", "--adapter", "caddyfile"),
    (
        *("/usr/bin/caddy", "reload", "--config", "conf", "--adapter", "caddyfile"),
        *("--address", _CADDY_ADMIN),
    ),
    {"": "", "h2": "tls certificate.pem key.pem"},
)

_MODULES = "\n".join(
    f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so"
    for name in (
        *("mpm_event", "authz_core", "proxy", "proxy_http", "proxy_wstunnel", "filter"),
        *("deflate", "headers", "ssl"),
    )
)
APACHE = Kind(
    "Apache httpd",
    f"""\
ServerRoot <folder>
PidFile pid
ErrorLog /dev/stderr
ServerName localhost
DefaultRuntimeDir <folder>
{_MODULES}
<apache-user>
Listen 127.0.0.1:<ready>
Listen 127.0.0.1:<port>
<VirtualHost 127.0.0.1:<port>>
    <tls>
    <body>
</VirtualHost>
""",
    """\
ProxyPreserveHost On
ProxyTimeout 3600
ProxyPass / http://<app>/ upgrade=websocket
""",
    ("/usr/sbin/apache2", "-d", "<folder>", "-f", "conf", "-DFOREGROUND"),
    signal.SIGUSR1,
    {
        "": "",
        "h1": "SSLEngine on\nSSLCertificateFile certificate.pem\nSSLCertificateKeyFile key.pem",
    },
)

SQUID = Kind(
    "squid",
    """\
http_port 127.0.0.1:<port><tls>
http_port 127.0.0.1:<ready>
<body>
http_access allow localhost
http_access deny all
cache deny all
pid_filename none
cache_log /dev/stderr
access_log none
netdb_filename none
pinger_enable off
shutdown_lifetime 1 seconds
coredump_dir <folder>
cache_effective_user proxy
""",
    """\
acl Web_ports port <app-port>
http_access deny CONNECT !Web_ports
http_upgrade_request_protocols websocket allow all
""",
    ("/usr/sbin/squid", "-N", "-f", "<folder>/conf"),
    signal.SIGHUP,
    {
        "": "",
        "h1": " ssl-bump cert=<folder>/both.pem generate-host-certificates=off",
    },
    forward=True,
)

# Its options are a file of its own; it reads them as it starts. `<ready>` is of no use to it.
MITMPROXY = Kind(
    "mitmproxy",
    """\
listen_host: 127.0.0.1
listen_port: <port>
ssl_insecure: true
<body>
""",
    """\
websocket: true
stream_large_bodies: "1"
""",
    ("/usr/bin/mitmdump", "--quiet", "--set", "confdir=<folder>"),
    None,
    {"": ""},
    forward=True,
    file="config.yaml",
)


class Proxy:
    """One that runs.

    Attributes:
        kind: the program.
        port: where it listens, in whatever configuration.
    """

    def __init__(self, kind: Kind, upstreams: Mapping[str, int], folder: Path) -> None:
        self.kind = kind
        self.upstreams = upstreams
        self.folder = folder
        [self.port] = free_ports(1)
        self._program = Process(
            kind.name,
            [part.replace("<folder>", str(folder)) for part in kind.command],
            folder,
            # Nothing may be left in the user's home.
            {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)},
        )

    async def start(self, site: Site) -> None:
        """Start it; it listens when this returns. Raises as `Process.start` does."""
        await self._program.start([self.port, *await self._write(site)])

    async def configure(self, site: Site) -> None:
        """Write another configuration, and have it read: by a reload, if that can be."""
        ready = await self._write(site)
        match self.kind.reload:
            case signal.Signals() as number:
                self._program.signal(number)
            case None:
                await self._program.stop()
                await self._program.start([self.port])
            case command:
                done = await anyio.run_process(
                    [part.replace("<folder>", str(self.folder)) for part in command],
                    cwd=self.folder,
                    check=False,
                )
                assert done.returncode == 0, done.stderr.decode()
        await self._program.until_it_listens(ready)

    async def stop(self) -> None:
        """End it, and everything it has started."""
        await self._program.stop()

    async def _write(self, site: Site) -> list[int]:
        """Ports where only this configuration listens: there it shows that it was read."""
        kind = self.kind
        [ready] = free_ports(1)
        text = kind.frame.replace("<around>", site.around).replace("<body>", site.body)
        told: dict[str, object] = {
            "tls": kind.tls[site.tls],
            "scheme": "https" if site.tls else "http",
            "port": self.port,
            "ready": ready,
            "folder": self.folder,
            "here": Path(__file__).parent,
            # Its workers must get into the folder, which is root's where root runs this.
            "user": "user root;" if os.geteuid() == 0 else "",
            "apache-user": "User www-data\nGroup www-data" if os.geteuid() == 0 else "",
        }
        for role, port in self.upstreams.items():
            told[role] = f"127.0.0.1:{port}"
            told[f"{role}-port"] = port
        for name, value in told.items():
            text = text.replace(f"<{name}>", str(value))
        await (anyio.Path(self.folder) / kind.file).write_text(text)
        return [ready] if "<ready>" in kind.frame else []


@asynccontextmanager
async def proxying(kind: Kind, site: Site, upstreams: Mapping[str, int]) -> AsyncIterator[Proxy]:
    """Run one while the block does."""
    with tempfile.TemporaryDirectory(prefix="proxy-") as name:
        path = anyio.Path(name)
        await path.chmod(0o755)  # for programs that leave root's rights
        folder = Path(name)
        await make_certificate(folder)
        certificate = await (path / "certificate.pem").read_bytes()
        await (path / "both.pem").write_bytes(certificate + await (path / "key.pem").read_bytes())
        proxy = Proxy(kind, upstreams, folder)
        try:
            await proxy.start(site)
            yield proxy
        finally:
            await proxy.stop()
