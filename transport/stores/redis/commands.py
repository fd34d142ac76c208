"""Commands as Redis reads them: a count, and each argument behind its length.

Written by hand, as flights carry thousands of arguments: the packer of redis-py takes several times
as long.
"""

from __future__ import annotations

from transport.stores.redis.records import Value


def pack(*arguments: Value) -> bytes:
    """Return a command."""
    return b"*%d\r\n%b" % (len(arguments), b"".join(map(pack_argument, arguments)))


def pack_argument(value: Value) -> bytes:
    """Return one argument of a command."""
    data = value if isinstance(value, bytes) else str(value).encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)
