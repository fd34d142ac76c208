"""The network addresses by which clients are counted."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

from starlette.requests import HTTPConnection

SUBSCRIBER_PREFIX = 64
"""Bits of an IPv6 address that a provider gives to a subscriber, who chooses the others freely."""


def address_of(connection: HTTPConnection) -> str:
    """Return the client's address as it is counted, or ``""`` if the server does not know it.

    IPv6 addresses count by their /64 network, those that stand for an IPv4 address as that.
    """
    client: tuple[str, int] | None = connection.scope.get("client")
    address = client[0] if client is not None else ""
    return _network(address) if ":" in address else address


def _network(address: str) -> str:
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return address  # a name, as test clients have
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed), SUBSCRIBER_PREFIX), strict=False))
