"""The mutants of the server layer of sessions that processes share through a store.

The machine of processes and their store must detect those of `SHARED`; each of `TESTED` has a test
that must.
"""

from __future__ import annotations

from functools import partial

from tests.properties.mutants.mutant import Mutant, TestedMutant
from tests.unit.server.stored import (
    test_claims,
    test_deaths,
    test_ends,
    test_hints,
    test_losses,
    test_streaming,
    test_tokens,
)
from transport.server.journal import Journal
from transport.server.registry import Registry
from transport.server.relay.home import Home
from transport.server.relay.stored_homes import StoredHomes
from transport.server.relay.stored_openings import StoredOpenings
from transport.server.sessions import Sessions

SHARED = [
    Mutant(
        Journal,
        "next_write",
        name="shown-before-stored",
        rule="what is on its way to the store is shown",
        old="return self._under_way",
        new="self._stored(self._under_way); return self._under_way",
        first_seed=10,
    ),
    Mutant(
        Journal,
        "_next_change",
        name="released-before-the-last-step",
        rule="a process that stops gives a session up before it has stored what was sent",
        old="step = session.step(force=forced, touch=touch)",
        new="step = session.step(force=forced, touch=touch) if self._release is None else None",
        first_seed=5,
    ),
    Mutant(
        Journal,
        "prove",
        name="never-proved",
        rule="a home whose lease has lapsed, or whose store has lost data, writes nothing",
        old="self._must_prove = True",
        new="pass",
        first_seed=17,
    ),
]

TESTED = [
    TestedMutant(
        Registry,
        "lost",
        name="lost-home-closes",
        rule="a home that has lost a session ends it for its clients",
        old="runner.lose(retry_in)",
        new="runner.driver.free_memory(); runner.session.show_end(); runner.lose(retry_in)",
        test=test_claims.test_clients_of_a_process_that_lost_their_session_go_on,
    ),
    TestedMutant(
        StoredOpenings,
        "resume",
        name="claimed-before-compared",
        rule="IDN-3: the public id alone starts a handler",
        old="if located is None or not _opens(located, credential, visitor.identity.subject):",
        new="if located is None:",
        test=test_tokens.test_wrong_token_of_an_orphan_claims_nothing,
    ),
    TestedMutant(
        Journal,
        "doubt",
        name="lapsed-home-hands-out",
        rule="a process without a lease gives its handlers messages",
        old="self._driver.session.paused = True",
        new="pass",
        test=test_claims.test_process_without_lease_gives_its_handlers_nothing,
    ),
    TestedMutant(
        Journal,
        "check_lease",
        name="lapse-known-late",
        rule="a process that was stopped gives its handlers messages before it is told",
        old="self._store.is_lapsed()",
        new="False",
        test=test_claims.test_process_without_lease_gives_its_handlers_nothing,
    ),
    TestedMutant(
        Journal,
        "written",
        name="lost-home-ends",
        rule="a home that was fenced ends the session",
        old="self._lose()\n            return\n        case Refusal.GONE if",
        new="self._driver.session.reset(ResetReason.STORE_LOST); self._end()\n"
        "            return\n        case Refusal.GONE if",
        test=partial(test_deaths.test_process_that_goes_on_has_lost_its_sessions, "websocket"),
    ),
    TestedMutant(
        Journal,
        "next_write",
        name="proved-in-the-grace",
        rule="a home that has lapsed writes before one that has claimed the session can",
        old="if self._state is _State.DOUBTFUL and self._store.in_grace:",
        new="if False:",
        test=test_deaths.test_home_that_stood_still_proves_nothing_to_an_older_store,
    ),
    TestedMutant(
        Journal,
        "written",
        name="written-all-the-time",
        rule="a session whose home has no lease is written as often as the store answers",
        old="if self._proves_from > self._version + 1:",
        new="if False:",
        test=test_losses.test_doubtful_session_is_not_written_again_and_again,
    ),
    TestedMutant(
        Journal,
        "_next_change",
        name="released-before-the-last-step",
        rule="a process that stops gives a session up before it has stored what was sent",
        old="step = session.step(force=forced, touch=touch)",
        new="step = session.step(force=forced, touch=touch) if self._release is None else None",
        test=partial(test_ends.test_shutdowns_lose_and_repeat_nothing, "websocket"),
    ),
    TestedMutant(
        StoredHomes,
        "has_moved",
        name="stale-hint-told",
        rule="a client is told not_attached, as a process remembers a home that is gone",
        old="return True",
        new="return False",
        test=partial(test_hints.test_wrong_hints_cost_no_error, "longpoll", "dead"),
    ),
    TestedMutant(
        Home,
        "_denies",
        name="denial-told-as-reset",
        rule="a client is reset as the answer of the store to its home was lost",
        old="return True",
        new="return False",
        test=partial(test_claims.test_claim_whose_answer_is_lost_is_made_again, "sse", 2),
    ),
    TestedMutant(
        StoredOpenings,
        "begin",
        name="secret-read-twice",
        rule="the token of a session is made with another secret than its record",
        old="return NewSession(mine, key, found.image)",
        new="return NewSession(mine, self._store.secret, found.image)",
        test=test_tokens.test_token_is_good_if_the_secret_changes_in_an_open,
    ),
    TestedMutant(
        Sessions,
        "create",
        name="beginning-not-proved",
        rule="a session that begins while the store is lost is not written again",
        old="if registry.journals.in_grace:",
        new="if False:",
        test=test_losses.test_session_that_begins_in_a_loss_is_repaired,
    ),
    TestedMutant(
        Journal,
        "_force",
        name="stream-not-shown",
        rule="what is sent for a message in hand waits until the message is handled",
        old="self._forced = self._driver.session.incoming.delivered",
        new="pass",
        test=partial(test_streaming.test_first_token_is_shown_soon, "websocket"),
    ),
]
