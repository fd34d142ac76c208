"""The log: one logger, one format of lines.

A line is its event, then fields: ``opened channel=a7Hq transport=sse``. The fields are also
attributes of the `logging.LogRecord`, for formatters that write JSON. A field never holds a token,
credentials, a message, or text from a client. The events are listed in docs/errors.md.
"""

from __future__ import annotations

import logging

logger = logging.getLogger("transport")

DEBUG, INFO, WARNING, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR


def log_event(
    level: int,
    name: str,
    text: str = "",
    *,
    exc_info: bool | BaseException = False,
    **fields: str | int | float | None,
) -> None:
    """Log one event.

    Args:
        level: a level of `logging`.
        name: the name of the event, as listed in docs/errors.md.
        text: what it means and what to do about it, unless the name is enough.
        exc_info: an exception, or True for the one being handled; its traceback is added.
        fields: `channel`, `transport`, `code`, ...; those that are None are left out.
    """
    if not logger.isEnabledFor(level):
        return
    present = {key: value for key, value in fields.items() if value is not None}
    line = " ".join([name, *(f"{key}={value}" for key, value in present.items())])
    logger.log(
        level,
        "%s",
        f"{line}: {text}" if text else line,
        exc_info=exc_info,
        extra={"event": name, **present},
        stacklevel=2,
    )
