"""The mutants of a session that a store keeps; the machine of such sessions must detect each."""

from __future__ import annotations

from tests.properties.mutants.mutant import Mutant
from transport.protocol import journal
from transport.protocol.receive_window import ReceiveWindow
from transport.protocol.send_buffer import SendBuffer
from transport.protocol.server.closing import Closable
from transport.protocol.server.unstored import Unstored

STORED = [
    Mutant(
        SendBuffer,
        "append",
        name="message-shown-before-stored",
        rule="a message is written before the store has it",
        old="if not self.is_journaled:",
        new="if True:",
        first_seed=6,
    ),
    Mutant(
        ReceiveWindow,
        "mark_handled",
        name="mark-shown-before-stored",
        rule="MRK-3: a message is told as handled before the store has that",
        old="if not self.is_journaled:",
        new="if True:",
        first_seed=15,
    ),
    Mutant(
        Closable,
        "close",
        name="close-shown-before-stored",
        rule="a close is written before the store has it",
        old="if self.unstored is None:",
        new="self.downlink.close = closing\n    if self.unstored is None:",
        first_seed=82,
    ),
    Mutant(
        Closable,
        "_end",
        name="end-shown-before-stored",
        rule="a reset is written before the store has the tombstone",
        old="if self.unstored is None:",
        new="if True:",
        first_seed=17,
    ),
    Mutant(
        Unstored,
        "_end",
        name="step-cut-in-message",
        rule="a step contains a part of what is sent for a message, without being forced",
        old="return max(self._boundary, self._last)",
        new="return last",
        first_seed=6,
    ),
    Mutant(
        Unstored,
        "_write",
        name="mark-ahead-of-its-step",
        rule="a message is stored as handled while the handler holds it",
        old="handled = self._incoming.handled",
        new="handled = self._incoming.delivered",
        first_seed=1,
    ),
    Mutant(
        Unstored,
        "_write",
        name="cursor-ahead-of-its-message",
        rule="a cursor is stored before the message with which it moved",
        old="self._moves[0][0] <= end",
        new="True",
        first_seed=149,
    ),
    Mutant(
        Unstored,
        "_partial",
        name="partial-not-counted",
        rule="a forced step does not say what it contains of a message",
        old="return self.partial + end - self._boundary - self._offered_written",
        new="return 0",
        first_seed=209,
    ),
    Mutant(
        Unstored,
        "restore",
        name="partial-of-former-home-forgotten",
        rule="a second kill makes what was stored in part be sent twice",
        old="self._partial_before, self._partial_of = image.partial, image.handled + 1",
        new="pass",
        first_seed=300,
    ),
    Mutant(
        Unstored,
        "offered",
        name="offered-counts-as-reply",
        rule="a group's message counts as one of the handler's",
        old="self._offered.append(last)",
        new="pass",
        first_seed=1180,
    ),
    Mutant(
        journal,
        "apply",
        name="no-fence",
        rule="a former home writes",
        old="return Refusal.FENCED",
        new="pass",
        first_seed=3,
    ),
    Mutant(
        journal,
        "apply",
        name="version-ignored",
        rule="a write that arrives late moves the marks back",
        old="image.version >= write.version:",
        new="image.version == write.version:",
        first_seed=36,
    ),
    Mutant(
        Unstored,
        "restore",
        name="no-floor",
        rule="RES-2: what a killed home may have handed out is told as not handled",
        old="self.floor = floor",
        new="self.floor = 0",
        first_seed=14,
    ),
    Mutant(
        Unstored,
        "stored",
        name="unstored-window-ignored",
        rule="more is handed out than the floor covers",
        old="self._incoming.shown = handled",
        new="self._incoming.shown = handled; self._limit = 100",
        first_seed=55,
    ),
]
