"""Random writes and claims of a session: most of them as its home makes them, others as a process
makes them that was away, or that another has replaced."""

from __future__ import annotations

from random import Random

from msgspec.structs import replace

from transport.protocol.codec import Payload
from transport.protocol.journal import (
    Claim,
    End,
    Heal,
    Image,
    Release,
    Step,
    Touch,
    Write,
    ended,
    epoch_of,
)

HOMES = ("aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc")
RUNS = ("1" * 40, "2" * 40)
TOPICS = (
    "",
    "news",
    "room é",
    "#x",
    "a topic with a name of more than 44 bytes, so that it is hashed",
)
PAYLOADS: tuple[Payload, ...] = ("1", '"\U0001f600"', '{"a":[1,2]}', b"", b"\0\xff\r\n", b"bytes")

RECENT, LONG = 0, 500_000
"""Milliseconds without a frame: a session expires between them."""

TTL = 250_000


def new_image(random: Random) -> Image:
    """Return a session as its first home opens it."""
    run = random.choice(RUNS)
    return Image(
        home=random.choice(HOMES),
        subject=random.choice(("", "ann@example.org", "é" * 23)),
        token=random.randbytes(32),
        hub=random.choice(("app:chat", "a.package.with.long.names.app:Application.handler")),
        born=0,
        seen=0,
        run=run,
        epoch=run,
        wraps=random.random() < 0.2,
        holder="client0123456789",
    )


def random_write(random: Random, image: Image | None, shape: Image) -> Write:
    """Return a write.

    Args:
        random: decides.
        image: the session as it is stored.
        shape: a session that the writer believes in if it is not stored.
    """
    believed = image or shape
    home, fence, version = believed.home, believed.fence, believed.version + 1
    if random.random() < 0.25:
        home = random.choice(HOMES)
    if random.random() < 0.2:
        fence = max(1, fence + random.choice((-1, 1)))
    if random.random() < 0.25:
        version = max(1, version + random.randint(-3, 2))
    dice = random.random()
    if dice < 0.82 or (image is None and dice < 0.9):
        return Write(home, fence, version, _step(random, believed))
    if dice < 0.93:
        healed = _healed(random, believed, home, fence, version)
        return Write(home, fence, version, Heal(healed, random.choice((RECENT, LONG))))
    if dice < 0.96:
        return Write(home, fence, version, End(_tombstone(random)))
    return Write(home, fence, version, Release())


def random_claim(random: Random, image: Image | None) -> Claim:
    """Return a claim, most often of the home and fence that are stored."""
    home = image.home if image else ""
    fence = image.fence if image else 1
    if random.random() < 0.15:
        home = random.choice(HOMES)
    if random.random() < 0.15:
        fence += random.choice((-1, 1))
    ttl = TTL if random.random() < 0.5 else 2 * LONG
    run = random.choice(RUNS)
    epoch = epoch_of(run, random.randbytes(4).hex())
    return Claim(home, fence, random.choice(HOMES), run, epoch, ttl)


def _step(random: Random, image: Image) -> Step:
    first = image.last + 1
    if random.random() < 0.3:
        first = max(1, first + random.randint(-4, 1))
    payloads = tuple(random.choices(PAYLOADS, k=random.choice((0, 0, 1, 1, 2, 5))))
    last = max(image.last, first + len(payloads) - 1)
    acked = image.acked
    if random.random() < 0.4:
        acked = random.randint(max(0, acked - 2), last)
    touch = None
    if random.random() < 0.3:
        touch = Touch(random.choice((RECENT, LONG)), random.choice(RUNS))
    closing = image.closing
    if random.random() < 0.05:
        closing = b'["close",1000,"\xc3\xa9"]'
    return Step(
        first=first,
        payloads=payloads,
        handled=image.handled + random.choice((0, 0, 1, 3)),
        acked=acked,
        confirmed=image.confirmed + random.choice((0, 0, 1)),
        holder=random.choice(("client0123456789", "another-client-00000")),
        partial=random.choice((0, 0, 2)),
        trials=random.choice((0, 0, 1)),
        closing=closing,
        cursors=_cursors(random),
        touch=touch,
    )


def _cursors(random: Random) -> dict[str, int | None]:
    if random.random() < 0.7:
        return {}
    topics = random.sample(TOPICS, random.randint(1, len(TOPICS)))
    return {topic: random.choice((None, random.randrange(2**53))) for topic in topics}


def _healed(random: Random, image: Image, home: str, fence: int, version: int) -> Image:
    acked = image.acked + random.choice((0, 1))
    last = acked + random.choice((0, 1, 5))
    first = random.choice((0, image.epoch_first, last))
    healed = replace(
        image,
        home=home,
        fence=fence,
        version=version,
        handled=image.handled + 1,
        acked=acked,
        last=last,
        epoch_first=first,
        epoch_before=image.epoch_before if first else "",
        cursors={topic: random.randrange(100) for topic in random.sample(TOPICS, 2)},
        payloads=tuple(random.choices(PAYLOADS, k=last - acked)),
        tombstone=b"",
    )
    return ended(healed, _tombstone(random), version) if random.random() < 0.1 else healed


def _tombstone(random: Random) -> bytes:
    return random.randbytes(random.choice((1, 64, 65, 200)))
