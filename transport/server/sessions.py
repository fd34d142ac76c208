"""`Sessions`: makes the sessions of this process: new ones, and those that it takes over."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec.structs import replace

from transport.codes import RESTART
from transport.limits import Limits
from transport.protocol.frames import ResetReason
from transport.protocol.journal import Image
from transport.protocol.server.session import ServerSession
from transport.protocol.states import SessionStep
from transport.server.admission import Admission
from transport.server.application import Application
from transport.server.authentication import Authenticator
from transport.server.credentials import SessionCredentials
from transport.server.driver import NOT_SENDING, SessionDriver
from transport.server.journal import Journal
from transport.server.memory import Memory, opening_cost
from transport.server.opening_request import OpeningRequest
from transport.server.registry import Registry
from transport.server.runner import Runner
from transport.stores.records import Record


class Sessions:
    """Makes sessions, counts them, and runs the application for them.

    Args:
        application: run for each session.
        registry: the sessions of this process.
        limits: bounds and times.
        admission: counts sessions.
        memory: the bound on what all sessions take.
        authenticator: authenticates the clients.

    Attributes:
        application: see above.
        on_begun: called with each session that other processes may go on with, and with what the
            store has of it; its handler has not run yet.
    """

    def __init__(
        self,
        application: Application,
        registry: Registry,
        limits: Limits,
        admission: Admission,
        memory: Memory,
        authenticator: Authenticator,
    ) -> None:
        self.application = application
        self.on_begun: Callable[[Runner, Image], None] = lambda runner, image: None
        self._registry = registry
        self._limits = limits
        self._admission = admission
        self._memory = memory
        self._authenticator = authenticator

    def create(
        self,
        record: Record,
        request: OpeningRequest,
        now: float,
        image: Image | None = None,
        session: ServerSession | None = None,
    ) -> Runner:
        """Create the session of a record; its handler is not started.

        Args:
            record: of the session.
            request: that opens it.
            now: seconds.
            image: the session, as the store that other processes share has it, if there is one.
            session: what this process goes on with; by default a new session.

        Raises:
            ProtocolError: there is no room for it, or its subject or address has too many.
        """
        registry, memory = self._registry, self._memory
        cost = opening_cost(len(request.scope["headers"]), request.size)
        memory.check_room(cost)
        self._admission.count_session(record.subject, request.address, now)
        memory.add(cost)
        if session is None:
            session = ServerSession(record.id, self._limits, now)
            if image is not None:
                session.attachments.owner = image.holder
                session.journal()
        driver = SessionDriver(session, registry.clock, memory, self.application.encoder)
        credentials = SessionCredentials(
            record.subject, record.id, self._authenticator, self._limits.renewal, registry.now
        )
        runner = Runner(driver, registry, credentials, request.address, cost)
        if image is not None:
            assert registry.journals is not None
            lost = partial(registry.lost, runner)
            driver.journal = Journal(driver, registry.journals, image, lost)
            if registry.journals.in_grace:  # the store may have lost the session since it answered
                driver.journal.prove()
        return runner

    def take_over(
        self,
        record: Record,
        request: OpeningRequest,
        image: Image,
        user: Any,
        *,
        trial: bool,
        is_dismissed: bool = False,
    ) -> None:
        """Go on with a session that another process had, and call its handler.

        Args:
            record: of the session.
            request: that resumes it.
            image: the session, as this process has claimed it.
            user: see `Identity.user`.
            trial: whether its last process has died.
            is_dismissed: whether its user was dismissed since it was opened (IDN-2).

        Raises:
            ProtocolError: see `create`.
        """
        now = self._registry.now()
        image = replace(image, subject=record.subject)  # as it is: a store may have its hash
        whole = replace(image, acked=image.last, payloads=()) if image.is_torn else image
        session = ServerSession.restore(record.id, self._limits, whole, now, trial=trial)
        runner = self.create(record, request, now, image, session)
        record.begun = True
        self._registry.add(runner)
        if image.is_torn:
            runner.finish(request.scope, user)
            session.reset(ResetReason.STORE_LOST)
            runner.driver.notify()
        elif is_dismissed:
            runner.finish(request.scope, user)
            runner.dismiss()
        elif session.state in NOT_SENDING:
            runner.finish(request.scope, user)
        elif image.is_expired:
            runner.finish(request.scope, user)
            session.reset(ResetReason.EXPIRED, SessionStep.EXPIRE)
            runner.driver.notify()
        elif image.wraps:
            runner.finish(request.scope, user)
            session.close(
                RESTART.close_code, "the server was restarted", "protocol", now, failed=True
            )
            runner.driver.notify()
        else:
            runner.start(self.application, request.scope, user, now, resumed=True)
        self.on_begun(runner, image)
        self._registry.begun(runner)

    def check_room(self, request: OpeningRequest) -> None:
        """Check that there is memory for one more session.

        Raises:
            ProtocolError: there is not.
        """
        self._memory.check_room(opening_cost(len(request.scope["headers"]), request.size))
