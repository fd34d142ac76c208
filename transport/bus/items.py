"""What passes over a pipe: maps in msgpack, with typed fields.

A field or an item that the receiver does not know is ignored, so that two releases work side by
side while one is replaced by the other. Fields that a later release adds need a default, and it
must work if its new items are ignored.
"""

from __future__ import annotations

from typing import Any, get_args

from msgspec import DecodeError, Raw, Struct, msgpack


class Hello(Struct, frozen=True, tag="hello", tag_field="type"):
    """The first item of each side of a pipe.

    Attributes:
        name: of the process that sends it.
        release: of this package, for logs.
    """

    name: str
    release: str = ""


class Call(Struct, frozen=True, tag="call", tag_field="type"):
    """One question, to which one `Answer` is due.

    Attributes:
        id: identifies the call on its pipe.
        kind: what is asked.
        body: the question; its type depends on ``kind``.
    """

    id: int
    kind: str
    body: Raw


class Cancel(Struct, frozen=True, tag="cancel", tag_field="type"):
    """Nobody waits for the answer to a call any longer.

    Attributes:
        id: of the call.
    """

    id: int


class Answer(Struct, frozen=True, tag="answer", tag_field="type"):
    """The answer to a call.

    Attributes:
        id: of the call.
        body: the answer; its type depends on the kind of the call.
        failed: whether it has no body, because answering raised an exception or the kind is not
            known.
    """

    id: int
    body: Raw = Raw(b"\xc0")
    failed: bool = False


class Frames(Struct, frozen=True, tag="frames", tag_field="type"):
    """Frames of one client's connection, which another process relays; either way.

    At most two of these are under way on a link in each direction, see `Ready`.

    Attributes:
        link: identifies the connection on the pipe.
        frames: whole frames of the protocol, each str or bytes.
        taken: as `Ready.count`, of the other direction; 0 for none.
    """

    link: int
    frames: list[Any]
    taken: int = 0


class Ready(Struct, frozen=True, tag="ready", tag_field="type"):
    """The other side may send more `Frames` on this link: some were taken.

    Attributes:
        link: see `Frames`.
        count: how many, since that was told last.
    """

    link: int
    count: int


class Lost(Struct, frozen=True, tag="lost", tag_field="type"):
    """The client's connection is gone; from the process that has it.

    Attributes:
        link: see `Frames`.
    """

    link: int


class End(Struct, frozen=True, tag="end", tag_field="type"):
    """The client's connection is to end, once all frames are written; to the process that has it.

    Attributes:
        link: see `Frames`.
        code: the name of the code with which it ends.
        close_code: with which a WebSocket is closed.
        abort: whether to drop it at once: it is stuck in a write.
    """

    link: int
    code: str
    close_code: int
    abort: bool = False


class Publish(Struct, frozen=True, tag="publish", tag_field="type"):
    """A message for the members of a topic, from its writer to the owner of the topic.

    Attributes:
        topic: its name, see `encode_text`.
        number: of the publication: 1, 2, ... over all topics of the writer.
        settled: the writer sends no publication up to this number again.
        payload: the message, encoded.
    """

    topic: bytes
    number: int
    settled: int
    payload: Any


class Published(Struct, frozen=True, tag="published", tag_field="type"):
    """Every process that takes entries has taken a publication; from the owner to the writer.

    Attributes:
        number: see `Publish`.
    """

    number: int


class Entry(Struct, frozen=True, tag="entry", tag_field="type"):
    """A publication, from the owner of its topic to every process; to be answered by `Taken`.

    Attributes:
        topic, number, settled, payload: see `Publish`.
        writer: the name of the process that has published it.
    """

    topic: bytes
    writer: str
    number: int
    settled: int
    payload: Any


class LeftOut(Struct, frozen=True, tag="left_out", tag_field="type"):
    """No more entries come, because none was taken for too long; `Missed` ends that."""


ANY_TOPIC = b""
"""In place of all topics, in `Missed`."""


class Missed(Struct, frozen=True, tag="missed", tag_field="type"):
    """Entries that may never come; to be answered by `Taken`.

    Attributes:
        topics: of which; `ANY_TOPIC` among them stands for all.
    """

    topics: list[bytes]


class Taken(Struct, frozen=True, tag="taken", tag_field="type"):
    """A process has taken the oldest of what the owner has sent, in the order of the sending.

    Attributes:
        count: how many of `Entry` and `Missed`.
    """

    count: int


LinkItem = Frames | Ready | Lost | End
CallItem = Call | Cancel | Answer
TopicItem = Publish | Published | Entry | LeftOut | Missed | Taken
Item = Hello | CallItem | LinkItem | TopicItem

encode_item = msgpack.Encoder().encode
decode_item = msgpack.Decoder(Item).decode


class _Typed(Struct):
    type: str


_decode_type = msgpack.Decoder(_Typed).decode
_TYPES = {kind.__struct_config__.tag for kind in get_args(Item)}


def is_unknown(data: bytes) -> bool:
    """Return whether what cannot be decoded is an item of a later release."""
    try:
        return _decode_type(data).type not in _TYPES
    except DecodeError:
        return False
