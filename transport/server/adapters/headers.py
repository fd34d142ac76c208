"""`Headers`: what is asked of a request's headers."""

from __future__ import annotations

from starlette.types import Scope


class Headers:
    """The headers of one request, by name in lower case, as ASGI has them.

    Most that is asked for is not there, and Starlette's own look through all for each name. Here
    they are gone through once, and again only where a name came twice.
    """

    __slots__ = ("_all", "_names")

    def __init__(self, scope: Scope) -> None:
        self._all: list[tuple[bytes, bytes]] = list(scope["headers"])
        self._names = dict(self._all)

    def __contains__(self, name: bytes) -> bool:
        return name in self._names

    def every(self, name: bytes) -> list[str]:
        """The values of all headers of that name, in order."""
        value = self._names.get(name)
        if value is None:
            return []
        if len(self._names) == len(self._all):
            return [value.decode("latin-1")]
        return [value.decode("latin-1") for key, value in self._all if key == name]

    def first(self, name: bytes) -> str | None:
        """The first of `every`, None where there is none."""
        return self.every(name)[0] if name in self._names else None
