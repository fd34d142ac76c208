"""The lines of the log: one logger, one form.

A line is its event, then fields: ``opened channel=a7Hq transport=sse``. The fields are attributes
of the `logging.LogRecord` too, for formatters that write JSON. No token, no credentials, no message
and no word of a client is ever a field. The events are listed in docs/errors.md.
"""

from __future__ import annotations

import logging

logger = logging.getLogger("transport")

DEBUG, INFO, WARNING, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR


def event(
    level: int,
    name: str,
    text: str = "",
    *,
    exc_info: bool | BaseException = False,
    **fields: str | int | float | None,
) -> None:
    """Log one event.

    Args:
        level: of `logging`.
        name: of the event, as docs/errors.md lists it.
        text: what it means and what to do, where the name does not say it all.
        exc_info: an exception, or True for the one being handled; its traceback is added.
        fields: what it is about: `channel`, `transport`, `code`, ...; None is left out.
    """
    if not logger.isEnabledFor(level):
        return
    told = {key: value for key, value in fields.items() if value is not None}
    line = " ".join([name, *(f"{key}={value}" for key, value in told.items())])
    logger.log(
        level,
        "%s",
        f"{line}: {text}" if text else line,
        exc_info=exc_info,
        extra={"event": name, **told},
        stacklevel=2,
    )
