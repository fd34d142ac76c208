"""The scripts that Redis runs: what they decide, `transport.protocol.journal` decides too, and for
topics `transport.protocol.topic_log`.

Each is in a file of its own, whose comment says what it takes and returns. A script runs alone, so
nothing comes between what it reads and what it writes.
"""

from __future__ import annotations

import hashlib
from importlib import resources

from msgspec import Struct

from transport.stores.redis.commands import pack


class Script(Struct, frozen=True):
    """A script.

    Attributes:
        text: its source.
        sha: its name in Redis.
    """

    text: str
    sha: str

    @classmethod
    def of(cls, text: str) -> Script:
        """Return the script with this source."""
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())

    @property
    def load(self) -> bytes:
        """The command that makes Redis know it. It answers with ``sha``."""
        return pack("SCRIPT", "LOAD", self.text)


class Scripts(Struct, frozen=True):
    """All scripts. Redis forgets them when it restarts, and then answers NOSCRIPT."""

    open: Script
    claim: Script
    step: Script
    heal: Script
    end: Script
    release: Script
    birth: Script
    publish: Script
    read_topics: Script

    @classmethod
    def read(cls) -> Scripts:
        """Return them as they are in this package."""
        prelude = _source("prelude")
        return cls(*(Script.of(prelude + _source(name)) for name in cls.__struct_fields__))

    @property
    def load(self) -> list[bytes]:
        """The commands that make Redis know all of them."""
        return [getattr(self, name).load for name in self.__struct_fields__]


def _source(name: str) -> str:
    return resources.files(__package__).joinpath(f"{name}.lua").read_text("utf-8")
