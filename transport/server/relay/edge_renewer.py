"""`EdgeRenewer`: checks fresh credentials at the edge, where the request with the headers is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import Scope

from transport import codes
from transport.bus.text import encode_text
from transport.errors import ProtocolError
from transport.server.addresses import address_of
from transport.server.authentication import Authenticator
from transport.server.relay.messages import Failure, Renewed
from transport.stores.tokens import Credential


class EdgeRenewer:
    """Implements `Renewer`. The home learns the outcome, not the credentials (REN-1).

    Args:
        authenticator: of the clients that connect here.
        credential: of the session.
        scope: of the request whose cookies and headers ``authenticate`` sees.
        tell: tells the home, and returns its answer; raises the `ProtocolError` with which it
            refuses.
        link: the number of the connection on which they come; 0 for a POST.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        credential: Credential,
        scope: Scope,
        tell: Callable[[Renewed], Awaitable[list[Any]]],
        link: int = 0,
    ) -> None:
        self._authenticator = authenticator
        self._credential = credential
        self._scope = scope
        self._tell = tell
        self._link = link

    def count_renewal(self) -> None:
        """See `Renewer.count_renewal`."""
        self._authenticator.count(address_of(HTTPConnection(self._scope)), self._credential.id)

    async def renew(self, credentials: Any) -> None:
        """See `Renewer.renew`."""
        [accepted] = await self._tell(Renewed(*self._credential, link=self._link))
        try:
            identity = await self._authenticator.check(HTTPConnection(self._scope), credentials)
        except ProtocolError as error:
            if error.code is codes.UNAUTHORIZED:
                await self._report(refused=Failure.of(error), accepted=accepted)
            raise
        await self._report(
            subject=encode_text(identity.subject), expires=identity.expires, accepted=accepted
        )

    async def _report(self, **outcome: Any) -> None:
        await self._tell(Renewed(*self._credential, link=self._link, **outcome))
