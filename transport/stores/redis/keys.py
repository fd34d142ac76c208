"""`Keys`: the names of all keys and channels in Redis.

They begin with the version of the layout, which changes when releases with the old and the new one
could not run at the same time. The names of a session and of what belongs to it share a part in
braces, as keys that one script uses must.
"""

from __future__ import annotations

from msgspec import Struct

from transport.stores.names import shorten, shorten_topic

LAYOUT = "oc1"


class Keys(Struct, frozen=True):
    """The names of keys and channels.

    Attributes:
        prefix: begins all of them, so that applications can share a Redis.
    """

    prefix: str = ""

    def record(self, session_id: str) -> str:
        """Return the hash with the marks of a session, or with its tombstone."""
        return f"{self.prefix}{LAYOUT}:s:{{{session_id}}}"

    def log(self, session_id: str) -> str:
        """Return the list of messages that the client of a session has not acknowledged."""
        return f"{self.prefix}{LAYOUT}:s:{{{session_id}}}:d"

    def opening(self, opening: str) -> str:
        """Return the string with the id of the session that an ``open`` has made."""
        return f"{self.prefix}{LAYOUT}:n:{opening}"

    def process(self, name: str) -> str:
        """Return the string that is the lease of a process, and the channel of its pipes."""
        return f"{self.prefix}{LAYOUT}:p:{name}"

    def processes(self, hub: str) -> str:
        """Return the sorted set of a hub's processes, by when each was last seen.

        Args:
            hub: identifies the hub.
        """
        return f"{self.prefix}{LAYOUT}:ps:{hub}"

    @property
    def secret(self) -> str:
        """The string with the key of the tokens."""
        return f"{self.prefix}{LAYOUT}:secret"

    @property
    def born(self) -> str:
        """The string that says since when the data are there: see `records.encode_birth`."""
        return f"{self.prefix}{LAYOUT}:born"

    def dismissed(self, subject: str) -> str:
        """Return the string with the time of the last dismissal of a subject."""
        return f"{self.prefix}{LAYOUT}:{{u:{shorten(subject)}}}"

    def topic(self, name: str) -> str:
        """Return the hash with the marks of a topic, and the channel that announces its entries."""
        return f"{self.prefix}{LAYOUT}:{{t:{shorten_topic(name)}}}"

    def topic_log(self, name: str) -> str:
        """Return the list of the last entries of a topic."""
        return f"{self.prefix}{LAYOUT}:{{t:{shorten_topic(name)}}}:d"
