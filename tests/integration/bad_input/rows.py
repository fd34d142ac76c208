"""The table of bad frames, each with the code of its refusal; `open_rows` has the bad opens.

A session of `tests.integration.bad_input.offender` has sent one message and received one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.support.clients.frame_client import open_frame
from transport import Limits, codes
from transport.codes import Code

SECRET = b"hunter2swordfish"
"""A part of some inputs; no answer may contain it."""

LIMITS = Limits()
LARGEST = 2**53 - 1


@dataclass(frozen=True)
class Row:
    """A bad input, and its code."""

    id: str
    wire: bytes
    code: Code

    def __repr__(self) -> str:
        return self.id


def row(name: str, wire: object, code: Code) -> Row:
    """Return a row. A value that is neither text nor bytes is encoded as a frame."""
    if isinstance(wire, bytes):
        return Row(name, wire, code)
    text = wire if isinstance(wire, str) else json.dumps(wire, separators=(",", ":"))
    return Row(name, text.encode(), code)


NUMBERS: dict[str, str] = {
    "zero": "0",
    "negative": "-1",
    "fraction": "1.5",
    "float": "2.0",
    "exponent": "2e0",
    "true": "true",
    "false": "false",
    "null": "null",
    "string": '"2"',
    "array": "[2]",
    "object": '{"n":2}',
    "beyond 2^53": str(2**53),
    "beyond 2^63": str(2**63),
    "beyond 2^64": str(2**64),
    "400 digits": "9" * 400,
    "huge float": "1e308",
}
"""Values that are not a message number. Zero is valid as an ack."""

NOT_JSON: dict[str, str | bytes] = {
    "nothing": "",
    "space": " ",
    "words": "hello " + SECRET.decode(),
    "half an object": "{",
    "half an array": "[2,0,",
    "half a string": '"' + SECRET.decode(),
    "closing bracket": "]",
    "single quotes": "[2,0,'x']",
    "trailing comma": '[2,0,"x",]',
    "comment": '[2,0,"x"]//x',
    "two frames": '[2,0,"x"][3,0,"y"]',
    "trailing word": '{"type":"ping"}x',
    "key without quotes": '{type:"ping"}',
    "NaN": "[2,0,NaN]",
    "Infinity": "[2,0,Infinity]",
    "-Infinity": "[2,0,-Infinity]",
    "undefined": "[2,0,undefined]",
    "Python's None": "[2,0,None]",
    "exponent too large": "[2,0,1e400]",
    "number of 5,000 digits": "[2,0," + "9" * 5000 + "]",
    "mark of 5,000 digits": '{"type":"ack","ack":' + "9" * 5000 + "}",
    "leading zero": "[02,0,1]",
    "plus": "[+2,0,1]",
    "hexadecimal": "[0x2,0,1]",
    "underscore": "[2_0,0,1]",
    "full-width digits": "[２,0,1]",
    "superscript": "[²,0,1]",
    "lone high surrogate": '[2,0,"\\ud800"]',
    "lone low surrogate": '[2,0,"\\udc00"]',
    "surrogates in the wrong order": '[2,0,"\\udc00\\ud800"]',
    "surrogate in a key": '[2,0,{"\\ud800":1}]',
    "unknown escape": '[2,0,"\\x41"]',
    "half an escape": '[2,0,"\\u00"]',
    "byte order mark": '\ufeff{"type":"ping"}',
    "UTF-16 without a mark": '{"type":"ping"}'.encode("utf-16-le"),
    "tab between tokens": '{"type":\t"ping"}',
    "transport return behind": '{"type":"ping"}\r',
    "transport return in a string": '[2,0,"a\rb"]',
    "tab in a string": '[2,0,"a\tb"]',
    "NUL": "\x00",
    "NUL in a string": '[2,0,"a\x00b"]',
    "NUL behind": '{"type":"ping"}\x00',
    "escape in a string": '[2,0,"\x1b[31m"]',
    "vertical tab between tokens": "[2,\x0b0,1]",
    "form feed behind": "[2,0,1]\x0c",
    "no-break space between tokens": "[2,\u00a00,1]",
    "U+2028 between tokens": "[2,\u20280,1]",
    "a header of HTTP": "GET / HTTP/1.1",
    "XML": "<open/>",
    "pickle": "cos\nsystem\n",
}
"""Inputs that are not JSON (FRM-2)."""


def _data(number: str) -> str:
    return f'[{number},0,"x"]'


def _mark(number: str) -> str:
    return f'{{"type":"ack","ack":{number}}}'


def close_frame(**fields: object) -> dict[str, Any]:
    good = {"type": "close", "code": 1000, "reason": "", "by": "app", "last": 1, "ack": 0}
    return {**good, **fields}


def _nested(depth: int) -> str:
    return f"[2,0,{'[' * depth}{']' * depth}]"


_BASE64 = {
    "without padding": "AP8",
    "with white space": "A P8=",
    "twice": "AP8=AP8=",
    "of the URL alphabet": "____",
    "outside ASCII": "é===",
    "only padding": "====",
}

FRAMES: list[Row] = [
    *(row(f"not JSON: {name}", wire, codes.BAD_JSON) for name, wire in NOT_JSON.items()),
    # FRM-3: not a frame
    *(
        row(f"no frame: {name}", wire, codes.BAD_FRAME)
        for name, wire in {
            "null": "null",
            "true": "true",
            "number": "7",
            "string": '"open"',
            "empty array": "[]",
            "array in an array": "[[]]",
            "number alone": "[2]",
            "without a message": "[2,0]",
            "empty object": "{}",
            "without a type": {"ack": 0},
            "type in capitals": {"TYPE": "ack", "ack": 0},
            "type is a number": {"type": 5},
            "type is null": {"type": None},
            "type is an array": {"type": ["ack"]},
            "unknown type": {"type": SECRET.decode()},
            "type __proto__": {"type": "__proto__"},
            "type with a NUL": {"type": "ack\0"},
            "type in other case": {"type": "Ack", "ack": 0},
            "a server's opened": {"type": "opened"},
            "a server's error": {"type": "error", "code": "gap", "message": "x"},
            "a server's reset": {"type": "reset", "reason": "expired"},
            "a server's drain": {"type": "drain", "retry_in": 0},
            "a second open": open_frame(),
            "a bad second open": {"type": "open"},
            "send in the wrong place": {
                "type": "send",
                "session": "a." + SECRET.decode(),
                "client": "c" * 16,
                "attach": 1,
            },
            "poll in the wrong place": {
                "type": "poll",
                "session": "a." + SECRET.decode(),
                "client": "c" * 16,
                "attach": 1,
                "poll": 1,
                "ack": 0,
            },
            "ack without its field": {"type": "ack"},
            "skip without its number": {"type": "skip", "ack": 0},
            "bytes without data": {"type": "bytes", "number": 2, "ack": 0},
            "bytes of an array": {"type": "bytes", "number": 2, "ack": 0, "data": [1]},
            "renew without credentials": {"type": "renew"},
            "close without fields": {"type": "close"},
            "close with code 0": close_frame(code=0),
            "close with 1005": close_frame(code=1005),
            "close with 1006": close_frame(code=1006),
            "close with 2999": close_frame(code=2999),
            "close with 5000": close_frame(code=5000),
            "close with a boolean": close_frame(code=True),
            "close with 10^400": json.dumps(close_frame()).replace("1000", "1" + "0" * 400),
            "close with a long reason": close_frame(reason=SECRET.decode() * 10),
            "close with a long reason in UTF-8": close_frame(reason="é" * 62),
            "close with a reason of null": close_frame(reason=None),
            "close by a stranger": close_frame(by=SECRET.decode()),
            "close by a stranger who quotes": close_frame(by="x' - at `$.ack`"),
            "ping with a negative id": {"type": "ping", "id": -1},
            "ping with a word": {"type": "ping", "id": SECRET.decode()},
            "ping with a fraction": {"type": "ping", "id": 1.5},
            "pong beyond 2^53": {"type": "pong", "id": 2**53},
        }.items()
    ),
    *(
        row(
            f"bytes: {name}",
            {"type": "bytes", "number": 2, "ack": 0, "data": data},
            codes.BAD_FRAME,
        )
        for name, data in _BASE64.items()
    ),
    # FRM-3: numbers and acks
    *(row(f"number: {name}", _data(text), codes.BAD_NUMBER) for name, text in NUMBERS.items()),
    *(
        row(f"mark: {name}", _mark(text), codes.BAD_NUMBER)
        for name, text in NUMBERS.items()
        if name != "zero"
    ),
    *(
        row(f"mark of data: {name}", f'[2,{text},"x"]', codes.BAD_NUMBER)
        for name, text in NUMBERS.items()
        if name != "zero"
    ),
    *(
        row(f"skip: {name}", f'{{"type":"skip","number":{text},"ack":0}}', codes.BAD_NUMBER)
        for name, text in NUMBERS.items()
    ),
    row("last: boolean", close_frame(last=True), codes.BAD_NUMBER),
    row("last: below what was sent", close_frame(last=0), codes.BAD_NUMBER),
    row("numbers that pass the end", f'[{LARGEST},0,"x","y"]', codes.BAD_NUMBER),
    # NUM-3
    row("gap", '[3,0,"x"]', codes.GAP),
    row("far future", f'[{LARGEST},0,"x"]', codes.GAP),
    row("gap by skip", {"type": "skip", "number": 3, "ack": 0}, codes.GAP),
    row("gap by bytes", {"type": "bytes", "number": 9, "ack": 0, "data": ""}, codes.GAP),
    # Section 12
    row("1,001 messages", f"[2,0{',1' * 1001}]", codes.TOO_MANY),
    row("300 KB of messages", f"[2,0{',[]' * 100_000}]", codes.TOO_MANY),
    row("one level too deep", _nested(65), codes.BAD_FRAME),
    row("1,000 levels", _nested(1000), codes.BAD_FRAME),
    row("100,000 levels", _nested(100_000), codes.BAD_FRAME),
    row("100,000 levels that never end", "[2,0," + "[" * 100_000, codes.BAD_FRAME),
    row("50,000 objects in one another", '{"a":' * 50_000, codes.BAD_FRAME),
    row(
        "a deep control frame",
        '{"type":"renew","credentials":' + "[" * 65 + "]" * 65 + "}",
        codes.BAD_FRAME,
    ),
    row("frame too large", f'[2,0,"{"x" * LIMITS.body}"]', codes.TOO_LARGE),
    row("frame too large in UTF-8", f'[2,0,"{"é" * (LIMITS.body // 2)}"]', codes.TOO_LARGE),
]
"""Frames of an attached client: each ends its connection, and leaves the session intact."""


ODD: dict[str, tuple[str, list[Any]]] = {
    "unknown fields": ('{"type":"ack","ack":0,"hunter2":[1,{"x":null}]}', []),
    "unknown fields with our names": ('{"type":"pong","number":-1,"__proto__":{"ack":9}}', []),
    "a key twice: the last counts": ('{"type":"ack","ack":99,"ack":0}', []),
    "a type twice: the last counts": (
        '{"type":"close","type":"ping","id":5}',
        [{"type": "pong", "id": 5}],
    ),
    "spaces between tokens": (' { "type" : "ping", "id" : 6 } ', [{"type": "pong", "id": 6}]),
    "minus zero": ('{"type":"ack","ack":-0}', []),
    "a pong that nobody asked for": ('{"type":"pong"}', []),
    "a pong with an id of nobody's": ('{"type":"pong","id":9007199254740991}', []),
    "a repetition": ('[1,0,"another"]', []),
    "a repetition of bytes": ('{"type":"bytes","number":1,"ack":0,"data":"AP8="}', []),
    "a skip of what was taken": ('{"type":"skip","number":1,"ack":0}', []),
    "a number twice in one body": ('[1,0,"once"]\n[1,0,"twice"]', []),
    "an ack again": ('{"type":"ack","ack":0}', []),
}
"""Odd but valid frames, with the frames that they cause. The connection goes on."""

MESSAGES: dict[str, Any] = {
    "separators of lines": "\u2028\u2029\u0085\x7f",
    "control characters, escaped": "\x00\x01\t\n\r\x1b",
    "an event of its own": "\n\ndata: [1,0,1]\n\nevent: x\nid: 1\n",
    "markup": "</script><!--",
    "prototypes": {"__proto__": {"x": 1}, "constructor": None, "toString": ""},
    "outside the basic plane": "😀\U0010ffff",
    "noncharacters": "\ufffe\uffff\ufeff",
    "64 levels": json.loads("[" * 64 + "]" * 64),
    "empty": ["", [], {}, None, 0, False],
    "numbers at their ends": [LARGEST, -LARGEST, 5e-324, 1.7976931348623157e308, -0.0],
    "a frame": {"type": "error", "code": "internal", "message": "x"},
    "87,000 arrays": [[]] * 87_000,
    "130,000 numbers": [0] * 130_000,
    "25,000 keys": {f"{index}": 0 for index in range(25_000)},
    "200,000 brackets in a string": "[{" * 100_000,
}
"""Odd messages that must arrive unchanged (DAT-2)."""


FOREIGN: dict[str, str] = {
    "ack": '{"type":"ack","ack":2}',
    "ack of the far future": f'{{"type":"ack","ack":{LARGEST}}}',
    "data": '[2,2,"x"]',
    "bytes": '{"type":"bytes","number":2,"ack":7,"data":"AP8="}',
    "skip": '{"type":"skip","number":2,"ack":7}',
    "close": json.dumps(close_frame(ack=7)),
}
"""Acks of numbers that were never sent: the two sides have different sessions (MRK-5)."""
