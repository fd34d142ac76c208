"""`Audience`: the channels of this process that a message for many reaches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from transport.protocol.codec import Payload, size_of
from transport.protocol.topic_names import EVERYONE, GROUP
from transport.server.driver import SessionDriver
from transport.server.group import Group
from transport.server.registry import Registry
from transport.server.session_log import log_missed
from transport.telemetry.log import ERROR, log_event


class Audience:
    """Finds the members of topics, and sends to them.

    Args:
        registry: the sessions of this process.
        groups: the groups that have members here, by their names.
    """

    def __init__(self, registry: Registry, groups: Mapping[str, Group]) -> None:
        self._registry = registry
        self._groups = groups

    def deliver(self, topic: str, payload: Payload) -> None:
        """Send a message to the members of a topic, without waiting.

        A member whose buffer is full is reset (DAT-6). A defect of one does not keep the message
        from the others.
        """
        size = size_of(payload)
        for driver in self._members(topic):
            try:
                driver.try_send(payload, size)
            except Exception:  # noqa: BLE001 - logged with its traceback
                log_event(
                    ERROR,
                    "delivery_failed",
                    "a message of a group could not be sent to this channel: please report the "
                    "exception below",
                    channel=driver.session.id,
                    exc_info=True,
                )

    def topics(self) -> list[str]:
        """Return the topics that may have members in this process."""
        return [EVERYONE, *(GROUP + name for name in self._groups)]

    def reset(self, topics: Iterable[str]) -> None:
        """Reset the members of these topics: they have missed a message (RES-5)."""
        for topic in topics:
            for driver in self._members(topic):
                if driver.accepted and not driver.is_over:
                    log_missed(driver.session)
                    driver.session.overflow()
                    driver.notify()

    def _members(self, topic: str) -> Iterable[SessionDriver]:
        if topic == EVERYONE:
            return [runner.driver for runner in self._registry.runners]
        group = self._groups.get(topic.removeprefix(GROUP))
        return [channel._driver for channel in group or ()]
