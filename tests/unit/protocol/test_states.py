"""The transition tables of sessions, attachments, attaches and channels."""

from __future__ import annotations

import itertools

import pytest

from transport.errors import LocalProtocolError
from transport.protocol.states import (
    ATTACH_TRANSITIONS,
    ATTACHMENT_TRANSITIONS,
    PHASE_TRANSITIONS,
    SESSION_TRANSITIONS,
    AttachmentState,
    AttachmentStep,
    Phase,
    PhaseStep,
    SessionState,
    SessionStep,
    advance,
    transition,
)


@pytest.mark.parametrize(
    ("state", "step"),
    list(itertools.product(SessionState, SessionStep)),
    ids=lambda value: value.value,
)
def test_only_what_is_in_the_table(state: SessionState, step: SessionStep) -> None:
    if (state, step) in SESSION_TRANSITIONS:
        assert advance(state, step) is SESSION_TRANSITIONS[state, step]
    else:
        with pytest.raises(LocalProtocolError, match=f"'{step.value}' .* state '{state.value}'"):
            advance(state, step)


def test_each_state_is_reached_and_the_last_is_left_by_nothing() -> None:
    assert {*SESSION_TRANSITIONS.values(), SessionState.OPEN} == set(SessionState)
    assert not any(state is SessionState.CLOSED for state, _ in SESSION_TRANSITIONS)


def test_life_goes_one_way() -> None:
    order = list(SessionState)
    for (before, _), after in SESSION_TRANSITIONS.items():
        assert order.index(after) >= order.index(before)


@pytest.mark.parametrize(
    ("state", "step"),
    list(itertools.product(AttachmentState, AttachmentStep)),
    ids=lambda value: value.value,
)
def test_attachment_takes_only_steps_of_its_table(
    state: AttachmentState, step: AttachmentStep
) -> None:
    if (state, step) in ATTACHMENT_TRANSITIONS:
        assert (
            transition(ATTACHMENT_TRANSITIONS, state, step, "attachment")
            is ATTACHMENT_TRANSITIONS[state, step]
        )
    else:
        with pytest.raises(LocalProtocolError, match=f"'{step.value}' .* state '{state.value}'"):
            transition(ATTACHMENT_TRANSITIONS, state, step, "attachment")


def test_attachment_states_are_all_reached_and_none_returns() -> None:
    assert {*ATTACHMENT_TRANSITIONS.values(), AttachmentState.PROVISIONAL} == set(AttachmentState)
    order = list(AttachmentState)
    for (before, _), after in ATTACHMENT_TRANSITIONS.items():
        assert order.index(after) >= order.index(before)


def test_every_phase_but_the_last_can_close() -> None:
    assert {state for state, step in PHASE_TRANSITIONS if step is PhaseStep.CLOSE} == set(Phase) - {
        Phase.CLOSED
    }
    assert not any(state is Phase.CLOSED for state, _ in PHASE_TRANSITIONS)
    assert len(ATTACH_TRANSITIONS) == 3
