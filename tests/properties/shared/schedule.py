"""The random schedules of a world of processes that share a store."""

from __future__ import annotations

from tests.properties.processes.schedule import ESSENTIAL, Machine
from tests.properties.processes.steps import DELAYS
from tests.properties.shared.steps import LATE, PAUSES
from tests.properties.shared.world import StoredWorld

STORED = Machine(
    StoredWorld,
    {
        "come": ((0, 2),),
        "say": ((0, 3), (1, 4), (0, 2), (0, 12)),
        "push": ((0, 3), (1, 4)),
        "offer": ((0, 3), (1, 2)),
        "flush": ((0, 3), (1, 2)),
        "cut": ((0, 3), (0, 1)),
        "move": ((0, 3), (0, 2)),
        "wait": ((0, len(PAUSES) - 1),),
        "turn": ((1, 8),),
        "cut_pipes": ((0, 3), (0, 3)),
        "slow": ((0, len(DELAYS) - 1),),
        "kill": ((0, 3),),
        "stop": ((0, 3),),
        "go_on": (),
        "join": (),
        "shut_down": ((0, 3),),
        "pause": (),
        "resume": (),
        "hold": ((0, len(LATE) - 1),),
        "lag": ((0, len(DELAYS) - 2),),
        "refuse": (),
        "accept": (),
        "break_off": ((0, 3),),
        "deafen": ((0, 3),),
        "hear": (),
        "save": (),
        "go_back": (),
        "restart": ((0, 1),),
        "forget_all": (),
        "forget": ((0, 3),),
        "mend": (),
    },
    {"say": 6, "push": 3, "wait": 6, "turn": 4, "cut": 2, "kill": 2, "join": 2, "mend": 2},
    ESSENTIAL | {"mend", "join"},
    ("store_unreachable", "store_unusable"),
)
"""The machine of processes that go on with the sessions of each other."""
