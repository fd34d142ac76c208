"""Real proxies: how each is started, configured, reloaded and stopped.

    async with proxying(NGINX, site, {"app": server.port}) as proxy:
        ...  # talk to proxy.port
        await proxy.configure(another_site)  # reloaded while connections are open

A `Site` is the part of the configuration that differs between cases. In its text, `<app>` stands
for the address of the server and `<app-port>` for its port; other upstreams have similar names.
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
    """The configuration of the single site that a proxy serves.

    Attributes:
        body: the text for ``<body>`` in the frame of the proxy's kind.
        around: the text for ``<around>``.
        tls: whether TLS ends at the proxy, and with which version of HTTP.
    """

    body: str
    around: str = ""
    tls: Tls = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """A proxy program.

    Attributes:
        frame: its configuration without the site; written to ``file`` in its folder.
        good: the body of a site with the best configuration.
        command: the command that runs it in the foreground in that folder.
        reload: the signal or command that reloads the configuration; None if it must be restarted.
        tls: the text for ``<tls>``, for each mode.
        forward: whether browsers are configured to use it as a forward proxy, with the server's own
            URL.
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

# It reads its options from a separate file at start. It does not need `<ready>`.
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
    """A running proxy.

    Attributes:
        kind: the program.
        port: the port on which it listens in every configuration.
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
            # Write nothing into the user's home.
            {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)},
        )

    async def start(self, site: Site) -> None:
        """Start the proxy, and return once it listens. Raises the errors of `Process.start`."""
        await self._program.start([self.port, *await self._write(site)])

    async def configure(self, site: Site) -> None:
        """Write another configuration and apply it, by a reload if possible."""
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
        """Stop the proxy and its child processes."""
        await self._program.stop()

    async def _write(self, site: Site) -> list[int]:
        """Write the configuration; return ports that open once this configuration is active."""
        kind = self.kind
        [ready] = free_ports(1)
        text = kind.frame.replace("<around>", site.around).replace("<body>", site.body)
        values: dict[str, object] = {
            "tls": kind.tls[site.tls],
            "scheme": "https" if site.tls else "http",
            "port": self.port,
            "ready": ready,
            "folder": self.folder,
            "here": Path(__file__).parent,
            # Its workers must be able to read the folder, which belongs to root if root runs this.
            "user": "user root;" if os.geteuid() == 0 else "",
            "apache-user": "User www-data\nGroup www-data" if os.geteuid() == 0 else "",
        }
        for role, port in self.upstreams.items():
            values[role] = f"127.0.0.1:{port}"
            values[f"{role}-port"] = port
        for name, value in values.items():
            text = text.replace(f"<{name}>", str(value))
        await (anyio.Path(self.folder) / kind.file).write_text(text)
        return [ready] if "<ready>" in kind.frame else []


@asynccontextmanager
async def proxying(kind: Kind, site: Site, upstreams: Mapping[str, int]) -> AsyncIterator[Proxy]:
    """Run a proxy while the block runs."""
    with tempfile.TemporaryDirectory(prefix="proxy-") as name:
        path = anyio.Path(name)
        await path.chmod(0o755)  # for programs that drop root's rights
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
