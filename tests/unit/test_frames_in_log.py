"""Frames in the debug log: kinds and numbers, and nothing that they carry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from transport.telemetry.frames import describe_frame

SECRET = "s3cret"
VECTORS = Path(__file__).parents[1] / "vectors"


@pytest.mark.parametrize(
    ("encoded", "text"),
    [
        ('[5,3,"s3cret",{"s3cret":"s3cret"}]', "data 5-6 ack=3 size=34"),
        (bytes(7) + b"\x05" + bytes(7) + b"\x03" + b"s3cret", "bytes number=5 ack=3 size=6"),
        ('{"type":"bytes","number":5,"ack":3,"data":"s3cret"}', "bytes number=5 ack=3"),
        ('{"type":"ack","ack":3,"received":5,"attached":true}', None),
        ('{"type":"close","code":3000,"reason":"s3cret","by":"app","last":1,"ack":2}', None),
        ('{"type":"renew","credentials":"s3cret"}', "renew"),
        ('{"type":"error","code":"too_many","message":"s3cret","retry_in":2}', None),
        ('{"type":"error","code":"s3cret","message":"s3cret"}', "error"),
        ('{"type":"reset","reason":"expired","lost":[1,2],"handled":3}', None),
        ('{"type":"opened","id":"a7Hq","session":"s3cret","verdict":"new","sent":2}', None),
        ('{"type":"opened","id":"s3cret a b","session":"s3cret","sent":2}', "opened sent=2"),
        ('{"type":"s3cret","number":1}', "unknown size=28"),
        ('{"type":"ping","id":"s3cret"}', "ping"),
        ("<html>s3cret", "unreadable size=12"),
        ('"s3cret"', "unknown size=8"),
        ("[" * 100_000, "unreadable size=100000"),
    ],
)
def test_frame_is_described_by_kind_and_numbers(encoded: str | bytes, text: str | None) -> None:
    expected = {
        "ack": "ack received=5 ack=3 attached=True",
        "close": "close ack=2 code=3000 last=1 by=app",
        "error": "error retry_in=2 code=too_many",
        "opened": "opened channel=a7Hq sent=2 verdict=new",
        "reset": "reset handled=3 reason=expired",
    }
    described = describe_frame(encoded)
    assert described == (text or expected[described.split()[0]])
    assert SECRET not in described


def test_no_vector_shows_token_or_content() -> None:
    """Every frame of the vectors that names a token, a nonce or a client."""
    count = 0
    for path in VECTORS.glob("[cs]*er.json"):
        for vector in json.loads(path.read_text("utf-8"))["vectors"]:
            for step in vector.get("steps", []):
                for frame in (step.get("receive"), *(step.get("post") or [])):
                    if isinstance(frame, dict) and "text" not in frame:
                        described = describe_frame(json.dumps(frame))
                        count += 1
                        for secret in ("token", "nonce-", "client-", "$"):
                            assert secret not in described, described
    assert count > 100
