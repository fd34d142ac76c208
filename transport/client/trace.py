"""The debug log of the client: connections and their outcomes, frames by kind and number.

Nothing is computed while it is off.
"""

from __future__ import annotations

from typing import assert_never

from transport.client.connection import Connection
from transport.protocol.client.events import Answer, ConnectionLost, FrameReceived, Input, Output
from transport.protocol.frames import EncodedFrame
from transport.telemetry.frames import describe_frame
from transport.telemetry.log import DEBUG, log_event, logger


def trace_connecting(connection: Connection) -> None:
    """Log that an attempt begins."""
    log_event(DEBUG, "connecting", transport=connection.transport.value)


def trace_connected(connection: Connection) -> None:
    """Log that a connection works."""
    log_event(
        DEBUG,
        "connected",
        transport=connection.transport.value,
        attach=_attach(connection),
        seconds=round(connection.seconds, 3),
    )


def trace_disconnected(connection: Connection, reason: str, wait: float | None = None) -> None:
    """Log that a connection failed or ended, and after how many seconds the next may begin."""
    log_event(
        DEBUG,
        "disconnected",
        reason,
        transport=connection.transport.value,
        attach=_attach(connection),
        outcome=connection.outcome,
        retry_in=None if wait is None else round(wait, 3),
    )


def trace_output(connection: Connection, output: Output) -> None:
    """Log what is written to a connection."""
    if not logger.isEnabledFor(DEBUG):
        return
    for encoded in output.frames:
        log_event(
            DEBUG,
            "frame_sent",
            describe_frame(encoded),
            transport=connection.transport.value,
            attach=_attach(connection),
            request=None if output.request is None else output.request.value,
        )


def trace_input(connection: Connection, report: Input) -> None:
    """Log what a connection reports."""
    if not logger.isEnabledFor(DEBUG):
        return
    frames: list[EncodedFrame] = []
    request: str | None = None
    match report:
        case FrameReceived():
            frames = [report.frame]
        case Answer():
            frames = [line for line in report.text.split("\n") if line]
            request = report.request.value
            log_event(
                DEBUG,
                "answer_received",
                transport=connection.transport.value,
                attach=_attach(connection),
                request=request,
                status=report.status,
            )
        case ConnectionLost():
            pass  # the end of the connection is logged
        case _:
            assert_never(report)
    for encoded in frames:
        log_event(
            DEBUG,
            "frame_received",
            describe_frame(encoded),
            transport=connection.transport.value,
            attach=_attach(connection),
            request=request,
        )


def _attach(connection: Connection) -> int | None:
    return None if connection.link is None else connection.link.attach
