"""`report_unreachable`: says that the server cannot be reached, and why."""

from __future__ import annotations

from collections.abc import Callable

from transport.telemetry.log import ERROR, WARNING, log_event


def report_unreachable(
    url: str,
    reasons: dict[str, str],
    callback: Callable[[dict[str, str]], object] | None,
    channel: str | None,
) -> None:
    """Tell operators and the application. An exception of the application is logged.

    Args:
        url: of the channel, without secrets.
        reasons: why each transport has failed, and what to do, by its name.
        callback: the application's function, if it has one.
        channel: the id of the session; None before the first.
    """
    listed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    text = f"no transport works at {url}; the client keeps trying ({listed})"
    log_event(WARNING, "unreachable", text, channel=channel)
    if callback is not None:
        try:
            callback(reasons)
        except Exception:  # noqa: BLE001 - the application's exception is logged
            text = "the function for on_unreachable failed"
            log_event(ERROR, "callback_failed", text, exc_info=True, channel=channel)
