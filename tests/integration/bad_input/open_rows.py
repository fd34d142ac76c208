"""Bad opens, tokens, and first lines of POSTs and polls, each with the code of its refusal."""

from __future__ import annotations

from tests.integration.bad_input.rows import (
    LIMITS,
    NOT_JSON,
    NUMBERS,
    SECRET,
    Row,
    close_frame,
    row,
)
from tests.support.clients.frame_client import encode, open_frame
from transport import codes


def opening(**fields: object) -> bytes:
    return encode(open_frame(**fields)).encode()


def _with(name: str, text: str) -> bytes:
    """Return an ``open`` in which one field has this JSON."""
    frame = open_frame()
    frame.pop(name, None)
    return (encode(frame)[:-1] + f',"{name}":{text}}}').encode()


def _without(name: str) -> bytes:
    frame = open_frame()
    del frame[name]
    return encode(frame).encode()


_FIELDS = ("versions", "client", "nonce", "attach", "received", "first_retained")
_TEXTS = {
    "null": "null",
    "number": "7",
    "boolean": "true",
    "array": '["x"]',
    "object": '{"x":1}',
    "empty": '""',
    "too short": '"abc"',
    "too long": '"' + "a" * 65 + '"',
    "with a space": '"' + "a" * 30 + ' b"',
    "with a line break": '"' + "a" * 30 + '\\n"',
    "with a NUL": '"' + "a" * 30 + '\\u0000"',
    "outside ASCII": '"' + "é" * 30 + '"',
    "a path": '"../../../../../etc/passwd-----"',
}

OPENS: list[Row] = [
    *(
        row(f"not JSON: {name}", wire, codes.BAD_JSON)
        for name, wire in NOT_JSON.items()
        if name
        in (
            "nothing",
            "words",
            "half an object",
            "byte order mark",
            "NUL",
            "NaN",
            "tab between tokens",
            "transport return behind",
            "lone high surrogate",
            "UTF-16 without a mark",
            "two frames",
            "mark of 5,000 digits",
            "XML",
        )
    ),
    *(
        row(f"first: {name}", wire, codes.BAD_FRAME)
        for name, wire in {
            "null": "null",
            "empty array": "[]",
            "empty object": "{}",
            "unknown type": {"type": SECRET.decode()},
            "data": '[1,0,"x"]',
            "ack": {"type": "ack", "ack": 0},
            "close": close_frame(last=0),
            "pong": {"type": "pong"},
            "renew": {"type": "renew", "credentials": SECRET.decode()},
            "100,000 levels": "[" * 100_000,
            "deep credentials": '{"type":"open","credentials":' + "[" * 66 + "]" * 66 + "}",
        }.items()
    ),
    *(row(f"without {name}", _without(name), codes.BAD_FRAME) for name in _FIELDS),
    *(
        row(f"{field}: {name}", _with(field, text), codes.BAD_FRAME)
        for field in ("client", "nonce")
        for name, text in _TEXTS.items()
    ),
    *(
        row(f"{field}: {name}", _with(field, text), codes.BAD_NUMBER)
        for field in ("attach", "first_retained")
        for name, text in NUMBERS.items()
    ),
    *(
        row(f"received: {name}", _with("received", text), codes.BAD_NUMBER)
        for name, text in NUMBERS.items()
        if name != "zero"
    ),
    *(
        row(f"versions: {name}", _with("versions", text), codes.BAD_FRAME)
        for name, text in {
            "number": "1",
            "string": '"1"',
            "null": "null",
            "object": '{"1":1}',
            "of strings": '["1"]',
            "of booleans": "[true]",
            "of floats": "[1.0]",
        }.items()
    ),
    *(
        row(f"versions: {name}", _with("versions", text), codes.UNSUPPORTED_VERSION)
        for name, text in {
            "none": "[]",
            "zero": "[0]",
            "negative": "[-1]",
            "next": "[2]",
            "of the far future": f"[{2**70}]",
            "100,000 of them": "[" + "2," * 99_999 + "2]",
        }.items()
    ),
    *(
        row(f"{field}: {name}", _with(field, text), codes.BAD_FRAME)
        for field, texts in {
            "session": {
                "empty": '""',
                "long": '"' + "a" * 129 + '"',
                "number": "5",
                "null": "null",
            },
            "epoch": {"number": "5", "null": "null"},
            "target": {
                "array": "[]",
                "string": '"/etc/passwd"',
                "empty": "{}",
                "no subprotocols": '{"subprotocols":null}',
                "of numbers": '{"subprotocols":[1]}',
            },
        }.items()
        for name, text in texts.items()
    ),
    row("target", _with("target", '{"subprotocols":["a"]}'), codes.NOT_FOUND),
    row("too large", _with("credentials", '"' + "x" * LIMITS.body + '"'), codes.TOO_LARGE),
]
"""First frames that are refused: no session is created."""

TOKENS: dict[str, str] = {
    "random": "kbVQ3yXb.8vJxqk2yqUqzZf4M3eBf2c5tq0Xo8kTg",
    "without a dot": "nodot",
    "a dot": ".",
    "no id": ".secret",
    "no secret": "kbVQ3yXb.",
    "dots": "....",
    "__proto__": "__proto__.x",
    "a wildcard": "*",
    "of another store's syntax": "a:b.c",
    "with a line break": "x.\r\nDEL y",
    "with a NUL": "x.\0",
    "emoji": "😀.😀",
    "outside ASCII": "é.é",
    "a path": "../../etc.passwd",
    "SQL": "x' OR '1'='1.y",
    "as long as may be": "a" * 64 + "." + "b" * 63,
}
"""Values that are not the token of any session (RES-9)."""

HEADS: list[Row] = [
    row("first line: nothing", "", codes.BAD_JSON),
    row("first line: data", '[1,0,"x"]', codes.BAD_FRAME),
    row("first line: open", opening(), codes.BAD_FRAME),
    *(
        row(f"{field}: {name}", f"{field}={text}", code)
        for field, texts, code in (
            (
                "session",
                {
                    "null": "null",
                    "number": "5",
                    "empty": '""',
                    "long": '"' + "a" * 129 + '"',
                    "array": '["a.b"]',
                },
                codes.BAD_FRAME,
            ),
            ("client", _TEXTS, codes.BAD_FRAME),
            ("attach", NUMBERS, codes.BAD_NUMBER),
        )
        for name, text in texts.items()
    ),
]
"""First lines of POST ``send``, and polls. ``field=JSON`` is a valid frame with that field set."""

POLLS: list[Row] = [
    *(row(f"poll: {name}", f"poll={text}", codes.BAD_NUMBER) for name, text in NUMBERS.items()),
    *(
        row(f"ack: {name}", f"ack={text}", codes.BAD_NUMBER)
        for name, text in NUMBERS.items()
        if name != "zero"
    ),
    *(
        row(f"hold: {name}", f"hold={text}", codes.BAD_FRAME)
        for name, text in {
            "negative": "-1",
            "string": '"1"',
            "boolean": "true",
            "null": "null",
            "400 digits": "9" * 400,
        }.items()
    ),
    row("hold: too large", "hold=1e400", codes.BAD_JSON),
]
