"""What the log says of the handler of one session (docs/errors.md)."""

from __future__ import annotations

from transport.telemetry.log import ERROR, WARNING, log_event


def log_failed(channel: str, *, is_over: bool, reopens: bool) -> None:
    """Log the exception that is being handled, and what the page gets for it.

    Args:
        channel: the id of the session.
        is_over: whether the session is being handed over, closing or closed.
        reopens: whether the page may open a new session (CLS-8).
    """
    if is_over:
        page = "its session had ended already, or the server is stopping: no page learns of it"
    elif reopens:
        page = "its page opens a new session, for which the handler is called again"
    else:
        page = (
            "the channel closes with 1011. With Hub(on_error='reopen') its page opens a new "
            "session instead"
        )
    log_event(ERROR, "handler_failed", page, channel=channel, exc_info=True)


def log_returned_at_once(channel: str) -> None:
    """Log that the handler returned as soon as it began, which closes the channel."""
    log_event(
        WARNING,
        "handler_returned",
        "the handler returned at once without receiving, and that closes the channel: if it only "
        "sends, end it with `await channel.wait_closed()`; if it is meant, call "
        "`await channel.close()`",
        channel=channel,
    )


def log_cancelled(channel: str, *, stops: bool) -> None:
    """Log that the handler is cancelled: it did not return in time.

    Args:
        channel: the id of the session.
        stops: whether that is because the server is stopping.
    """
    reason = "the handler did not return in time after its session ended"
    log_event(
        WARNING,
        "handler_cancelled",
        "the server is stopping" if stops else reason,
        channel=channel,
    )
