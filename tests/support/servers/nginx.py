"""A real nginx in front of a server: one process, with a port for each way to configure it.

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

_WAYS = {
    # What everybody begins with: HTTP/1.0 to the server, Host rewritten, no Upgrade, buffering.
    "bare": ("", ""),
    # The same by another door, whose origin the application lists.
    "listed": ("", ""),
    # TLS ends here, and the server does not learn of it.
    "tls": (" ssl", ""),
    # The Upgrade is passed on, as many guides advise, and Host was forgotten.
    "upgrading": (
        "",
        """
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;""",
    ),
    # As it should be.
    "good": (
        " ssl",
        """
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_buffering off;
        proxy_read_timeout 1h;""",
    ),
}

CONFIGURATION = """\
daemon off;
<main>
pid nginx.pid;
error_log stderr warn;
events { worker_connections 256; }
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
"""All of it lies in the folder in which nginx runs."""

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
    """It runs.

    Attributes:
        ports: one for each way.
        folder: with its log and its certificate.
    """

    ports: dict[str, int]
    folder: Path

    def url(self, way: str, host: str = "127.0.0.1") -> str:
        """Return its URL for that way."""
        scheme = "https" if _WAYS[way][0] else "http"
        return f"{scheme}://{host}:{self.ports[way]}"

    def trusting(self) -> ssl.SSLContext:
        """Return a context for clients that trust only its certificate."""
        return ssl.create_default_context(cafile=str(self.folder / "certificate.pem"))


def free_ports() -> dict[str, int]:
    """A port for each way, for those who must know them before it starts."""
    return dict(zip(_WAYS, process.free_ports(len(_WAYS)), strict=True))


@asynccontextmanager
async def nginx(
    upstream: int, folder: Path, ports: dict[str, int] | None = None
) -> AsyncIterator[Nginx]:
    """Run one in front of the port ``upstream``; its files are in ``folder``.

    Raises:
        RuntimeError: it did not start; with its log.
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
