"""`Headers`: lookups in a request's headers."""

from __future__ import annotations

from starlette.types import Scope


class Headers:
    """The headers of one request, by name in lower case, as ASGI has them.

    Most of the headers that are looked up are absent, and Starlette's own class scans all headers
    for each lookup. This one scans them once, and again only if a name occurs twice.

    Attributes:
        last: the last value of each name, for lookups that every request makes.
        are_unique: whether no name occurs twice, so that `last` has all of them.
    """

    __slots__ = ("_all", "are_unique", "last")

    def __init__(self, scope: Scope) -> None:
        self._all: list[tuple[bytes, bytes]] = list(scope["headers"])
        self.last = dict(self._all)
        self.are_unique = len(self.last) == len(self._all)

    def __contains__(self, name: bytes) -> bool:
        return name in self.last

    def every(self, name: bytes) -> list[str]:
        """Return the values of all headers of that name, in order."""
        value = self.last.get(name)
        if value is None:
            return []
        if self.are_unique:
            return [value.decode("latin-1")]
        return [value.decode("latin-1") for key, value in self._all if key == name]

    def first(self, name: bytes) -> str | None:
        """Return the first value of `every`, or None."""
        return self.every(name)[0] if name in self.last else None
