"""The mutants of topics over several processes, each with a test that must detect it."""

from __future__ import annotations

from functools import partial

from tests.properties.mutants.mutant import TestedMutant
from tests.unit.server.topics.owned import test_topics
from transport.server.topics.owned.owner import Owner
from transport.server.topics.owned.recipient import Distribution, Recipient
from transport.server.topics.owned.seen import Seen
from transport.server.topics.owned.subscriber import Subscriber
from transport.server.topics.owned.topics import Topics
from transport.server.topics.owned.writer import Writer

_dies = test_topics.test_owner_that_dies_loses_and_doubles_nothing
_cut = test_topics.test_cut_pipe_loses_and_doubles_nothing
_stopped = test_topics.test_stopped_process_is_left_out_and_reset_later
_silent = test_topics.test_silent_owner_is_passed_over_and_doubles_nothing
_owner_died = test_topics.test_stopped_process_is_reset_if_its_owner_died
_far = test_topics.test_process_out_of_reach_for_long_is_reset

TOPICS = [
    TestedMutant(
        Subscriber,
        "take",
        name="repetition-delivered",
        rule="a publication that was sent again reaches a member twice",
        old="if seen.take(",
        new="if True or seen.take(",
        test=partial(_dies, 6),
    ),
    TestedMutant(
        Seen,
        "take",
        name="settled-ignored",
        rule="an owner that wakes late doubles what was answered long ago",
        old="number <= self._settled or ",
        new="",
        test=test_topics.test_late_copy_of_settled_publication_is_dropped,
    ),
    TestedMutant(
        Seen,
        "take",
        name="highest-ignored",
        rule="what is sent again before it is answered is taken twice",
        old=" or number <= self._highest.get(topic, 0)",
        new="",
        test=partial(_dies, 6),
    ),
    TestedMutant(
        Writer,
        "_move",
        name="unanswered-forgotten",
        rule="the next owner gets only what was held, not what had no answer",
        old="backlog.sent |= backlog.held",
        new="backlog.sent = backlog.held",
        test=partial(_dies, 0),
    ),
    TestedMutant(
        Writer,
        "publish",
        name="owner-changed-without-waiting",
        rule="a new owner gets a publication before the old one has answered",
        old="if backlog.owner == owner and not backlog.held:",
        new="if True:",
        test=test_topics.test_owner_that_comes_waits_for_answers_of_the_old_one,
    ),
    TestedMutant(
        Writer,
        "tick",
        name="silent-owner-awaited",
        rule="a silent owner is not passed over",
        old="now - heard > PASSED_OVER_AFTER",
        new="False",
        test=_silent,
    ),
    TestedMutant(
        Writer,
        "ended",
        name="dead-owner-awaited",
        rule="what a dead owner had is not sent again",
        old="self._pass_over(process)",
        new="pass",
        test=partial(_dies, 0),
    ),
    TestedMutant(
        Writer,
        "_send",
        name="settled-too-early",
        rule="what has no answer counts as settled",
        old="next(iter(self._unanswered)) - 1",
        new="number",
        test=test_topics.test_publications_of_two_writers_have_one_order,
    ),
    TestedMutant(
        Owner,
        "publish",
        name="own-members-forgotten",
        rule="the owner's own members get nothing",
        old="self._subscriber.take(entry)",
        new="pass",
        test=test_topics.test_publication_returns_when_every_process_has_it,
    ),
    TestedMutant(
        Distribution,
        "taken",
        name="answered-too-early",
        rule="the writer is answered before the last process has taken the entry",
        old="self._waiting == 0",
        new="self._waiting == 1",
        test=test_topics.test_publication_returns_when_every_process_has_it,
    ),
    TestedMutant(
        Recipient,
        "tick",
        name="stopped-process-awaited",
        rule="a process that takes nothing is waited for without end",
        old="self._now() - self._since > LEFT_OUT_AFTER",
        new="False",
        test=_stopped,
    ),
    TestedMutant(
        Recipient,
        "tick",
        name="cut-off-not-resent",
        rule="what was cut off with a pipe is lost",
        old="pipe.send(untaken.item)",
        new="pass",
        test=partial(_cut, is_owner=True),
    ),
    TestedMutant(
        Recipient,
        "_miss",
        name="missed-forgotten",
        rule="what a process misses while it is left out is a silent gap",
        old="self._missed.add(topic)",
        new="pass",
        test=test_topics.test_process_left_out_for_another_topic_is_reset_for_both,
    ),
    TestedMutant(
        Recipient,
        "_leave_out",
        name="given-up-forgotten",
        rule="what a process was sent before it was left out is a silent gap",
        old="for topic in untaken.topics",
        new="for topic in ()",
        test=_far,
    ),
    TestedMutant(
        Recipient,
        "_leave_out",
        name="not-told-to-be-left-out",
        rule="a process that was stopped cannot know that its owner died with what it missed",
        old="self._pipe.send(LeftOut())",
        new="pass",
        test=partial(_owner_died, has_noticed=False),
    ),
    TestedMutant(
        Recipient,
        "ended",
        name="missed-cut-off",
        rule="a process is not told again what it missed when the pipe was cut in between",
        old=" or isinstance(each.item, Missed)",
        new="",
        test=test_topics.test_missed_that_is_cut_off_is_told_again,
    ),
    TestedMutant(
        Subscriber,
        "left",
        name="gap-of-dead-owner",
        rule="what a dead owner had left out is a silent gap",
        old="self._members.reset(self._members.topics())",
        new="pass",
        test=partial(_owner_died, has_noticed=False),
    ),
    TestedMutant(
        Topics,
        "received",
        name="published-before-joined",
        rule="an owner that has just begun passes on to those that it knows",
        old="if self._early is not None",
        new="if False",
        test=test_topics.test_publication_reaches_owner_that_has_not_joined_yet,
    ),
    TestedMutant(
        Topics,
        "_meet_late",
        name="late-owner-trusted",
        rule="an owner that did not know a new process yet leaves it with a silent gap",
        old="self._members.reset(self._members.topics())",
        new="pass",
        test=test_topics.test_owner_that_knows_a_process_late_is_not_trusted,
    ),
]
