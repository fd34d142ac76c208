"""The tables of a session's states and of its attachments'."""

from __future__ import annotations

import itertools

import pytest

from transport.errors import LocalProtocolError
from transport.protocol.states import (
    ATTACH,
    ATTACHMENTS,
    PHASES,
    TRANSITIONS,
    AttachmentState,
    AttachmentStep,
    Phase,
    PhaseStep,
    State,
    Step,
    advance,
    follow,
)


@pytest.mark.parametrize(
    ("state", "step"),
    list(itertools.product(State, Step)),
    ids=lambda value: value.value,
)
def test_only_what_is_in_the_table(state: State, step: Step) -> None:
    if (state, step) in TRANSITIONS:
        assert advance(state, step) is TRANSITIONS[state, step]
    else:
        with pytest.raises(LocalProtocolError, match=f"'{step.value}' .* state '{state.value}'"):
            advance(state, step)


def test_each_state_is_reached_and_the_last_is_left_by_nothing() -> None:
    assert {*TRANSITIONS.values(), State.OPEN} == set(State)
    assert not any(state is State.CLOSED for state, _ in TRANSITIONS)


def test_life_goes_one_way() -> None:
    order = list(State)
    for (before, _), after in TRANSITIONS.items():
        assert order.index(after) >= order.index(before)


@pytest.mark.parametrize(
    ("state", "step"),
    list(itertools.product(AttachmentState, AttachmentStep)),
    ids=lambda value: value.value,
)
def test_attachment_takes_only_steps_of_its_table(
    state: AttachmentState, step: AttachmentStep
) -> None:
    if (state, step) in ATTACHMENTS:
        assert follow(ATTACHMENTS, state, step, "attachment") is ATTACHMENTS[state, step]
    else:
        with pytest.raises(LocalProtocolError, match=f"'{step.value}' .* state '{state.value}'"):
            follow(ATTACHMENTS, state, step, "attachment")


def test_attachment_states_are_all_reached_and_none_returns() -> None:
    assert {*ATTACHMENTS.values(), AttachmentState.PROVISIONAL} == set(AttachmentState)
    order = list(AttachmentState)
    for (before, _), after in ATTACHMENTS.items():
        assert order.index(after) >= order.index(before)


def test_every_phase_but_the_last_can_close() -> None:
    assert {state for state, step in PHASES if step is PhaseStep.CLOSE} == set(Phase) - {
        Phase.CLOSED
    }
    assert not any(state is Phase.CLOSED for state, _ in PHASES)
    assert len(ATTACH) == 3
