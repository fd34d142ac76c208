"""Strawberry's ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import strawberry
from strawberry.asgi import GraphQL

from tests.integrations.site import site

noted: list[object] = []


@strawberry.type
class Query:
    """A schema must have a query."""

    name: str = "integration"


@strawberry.type
class Mutation:
    """Notes numbers."""

    @strawberry.mutation
    def note(self, number: int) -> int:
        """Note a number."""
        noted.append(number)
        return number


@strawberry.type
class Subscription:
    """Streams."""

    @strawberry.subscription
    async def count(self, to: int) -> AsyncIterator[int]:
        """Stream the numbers below ``to``."""
        for number in range(to):
            yield number
            await anyio.sleep(0.005)


schema = strawberry.Schema(query=Query, mutation=Mutation, subscription=Subscription)
app = site(GraphQL(schema), noted)
