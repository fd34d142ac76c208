"""A real nginx in front of a server: one process, with a port for each way of configuring it.

async with nginx(server.port, folder) as proxy:
    ...  # talk to proxy.url("bare"), proxy.url("tls"), ...
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from tests.support.servers import process

EXECUTABLE = "/usr/sbin/nginx"

_RECOMMENDED = """
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_buffering off;
        proxy_read_timeout 1h;"""

_WAYS = {
    # The defaults: HTTP/1.0 to the server, Host rewritten, no Upgrade, buffering.
    "bare": ("", ""),
    # The same on another port, whose origin the application lists.
    "listed": ("", ""),
    # TLS ends here, and the server is not informed.
    "tls": (" ssl", ""),
    # Upgrade is passed on, as many guides advise, but Host is not.
    "upgrading": (
        "",
        """
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;""",
    ),
    # The recommended configuration, without TLS.
    "plain": ("", _RECOMMENDED),
    # The recommended configuration.
    "good": (" ssl", _RECOMMENDED),
    # The same over HTTP/2, in which all requests of a browser share one connection.
    "http2": (" ssl http2", _RECOMMENDED),
}

CONFIGURATION = """\
daemon off;
<main>
pid nginx.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    ssl_certificate certificate.pem;
    ssl_certificate_key key.pem;
    map $http_upgrade $connection_upgrade { default upgrade; '' close; }
<servers>
}
"""
"""The configuration. All its files are in the folder in which nginx runs."""

_SERVER = """\
    server {{
        listen 127.0.0.1:{port}{tls};
        location / {{
            proxy_pass http://127.0.0.1:{upstream};{more}
        }}
    }}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running nginx.

    Attributes:
        ports: a port for each way.
        folder: the folder of its log and its certificate.
    """

    ports: dict[str, int]
    folder: Path

    def url(self, way: str, host: str = "127.0.0.1") -> str:
        """Return the URL of this way."""
        scheme = "https" if _WAYS[way][0] else "http"
        return f"{scheme}://{host}:{self.ports[way]}"

    def trusting(self) -> ssl.SSLContext:
        """Return a context for clients that trusts only the certificate of this nginx."""
        return ssl.create_default_context(cafile=str(self.folder / "certificate.pem"))


def free_ports() -> dict[str, int]:
    """Return a port for each way, for callers that need the ports before nginx starts."""
    return dict(zip(_WAYS, process.free_ports(len(_WAYS)), strict=True))


@asynccontextmanager
async def nginx(
    upstream: int, folder: Path, ports: dict[str, int] | None = None
) -> AsyncIterator[Nginx]:
    """Run nginx in front of the port ``upstream``; its files are in ``folder``.

    Raises:
        RuntimeError: it did not start. The message has its log.
    """
    one = Nginx(ports or free_ports(), folder)
    await process.make_certificate(folder)
    servers = "".join(
        _SERVER.format(port=one.ports[way], tls=tls, upstream=upstream, more=more)
        for way, (tls, more) in _WAYS.items()
    )
    configuration = CONFIGURATION.replace("<main>", "master_process off;")
    configuration = configuration.replace("<servers>", servers)
    await (anyio.Path(folder) / "nginx.conf").write_text(configuration)
    command = [EXECUTABLE, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"]
    async with process.running("nginx", command, folder, one.ports.values()):
        yield one
