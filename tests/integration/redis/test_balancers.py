"""The load balancers of docs/scaling.md, as it configures them. This takes long: see `conftest`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.consumers.blocks import blocks
from tests.field.matrix.proxies import CADDY, HAPROXY, NGINX, Kind, Site, proxying
from tests.integration.redis.crew import APP, Crew, environment
from tests.integration.redis.load import load
from tests.support.clients.members import members
from tests.support.redis_processes import end_grace
from tests.support.servers.redis import running_redis
from tests.support.servers.uvicorn import serving

COUNT_OF_EACH = 4


def documented(language: str, text: str) -> str:
    """Return the block of the document that contains a text."""
    found = blocks(language, document="docs/scaling.md")
    [block] = [block.text for block in found if text in block.text]
    return block


def site(kind: Kind) -> Site:
    """Return the configuration; ``<one>`` and ``<two>`` stand for the servers."""
    match kind.name:
        case "nginx":
            body = kind.good.replace("http://<app>", "http://chat_servers")
            around = documented("nginx", "upstream chat_servers")
        case "HAProxy":
            body = documented("text", "balance roundrobin").partition("\n")[2]
            around = ""
        case _:
            body = documented("text", "reverse_proxy").replace(" /chat/", " /")
            around = ""
    return Site(_placed(body), _placed(around))


def _placed(text: str) -> str:
    return text.replace("10.0.0.11:8000", "<one>").replace("10.0.0.12:8000", "<two>")


@pytest.mark.parametrize("kind", [NGINX, HAPROXY, CADDY], ids=lambda kind: kind.name)
async def test_documented_balancer_needs_no_stickiness(kind: Kind, tmp_path: Path) -> None:
    """Two servers by turns; each is killed, and comes back."""
    for name in ("redis", "records"):
        (tmp_path / name).mkdir()
    async with running_redis(tmp_path / "redis") as redis:
        await end_grace(redis)
        with environment(tmp_path, redis, 1.0):
            async with (
                serving(APP) as one,
                serving(APP) as two,
                proxying(kind, site(kind), {"one": one.port, "two": two.port}) as proxy,
                members(f"http://127.0.0.1:{proxy.port}", COUNT_OF_EACH) as crowd,
            ):
                workers = Crew(one, f"http://127.0.0.1:{proxy.port}", redis, tmp_path)
                async with load(crowd) as talk:
                    await talk.until_answered()
                    assert {member.pid for member in crowd} == {one.pid, two.pid}
                    for server in (one, two):
                        await server.kill()
                        await talk.until_answered()
                        await server.start()
                        await talk.until_answered()
                talk.tell(kind.name, workers)
