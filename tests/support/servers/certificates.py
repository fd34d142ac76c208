"""Certificates of a private authority, for servers and clients of TLS on loopback."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class Authority:
    """A certificate authority that no system trusts, with a server's and a client's certificate.

    Args:
        folder: takes the files ``ca.pem``, ``server.pem`` and ``client.pem``; the latter two have
            the key too.

    Attributes:
        ca, server, client: the paths of these files.
    """

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca, self.server, self.client = (
            folder / name for name in ("ca.pem", "server.pem", "client.pem")
        )
        authority.cert_pem.write_to_path(str(self.ca))
        for path, name in ((self.server, "127.0.0.1"), (self.client, "ann@example.org")):
            issued = authority.issue_cert(name)
            issued.private_key_and_cert_chain_pem.write_to_path(str(path))

    def uvicorn(self) -> tuple[str, ...]:
        """Return uvicorn's arguments for a server with TLS."""
        return ("--ssl-certfile", str(self.server), "--ssl-keyfile", str(self.server))

    def uvicorn_for_clients(self) -> tuple[str, ...]:
        """Return uvicorn's arguments for a server that wants a client's certificate."""
        required = str(int(ssl.CERT_REQUIRED))
        return (*self.uvicorn(), "--ssl-ca-certs", str(self.ca), "--ssl-cert-reqs", required)

    def serving(self) -> ssl.SSLContext:
        """Return the TLS settings of a server in this process."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.server)
        return context

    def trusting(self, *, client: bool = False) -> ssl.SSLContext:
        """Return a client's TLS settings, with its certificate if ``client``."""
        context = ssl.create_default_context(cafile=self.ca)
        if client:
            context.load_cert_chain(self.client)
        return context
