"""Topics that one process owns, in its memory: for processes without a store of their sessions.

For each topic one process is its *owner* (`transport.bus.ranks`). A *writer* gives a publication to
the owner, which passes it on to every process as an entry, and answers once all have taken it. So
the entries of a topic have one order everywhere, and while the owner lives none is lost: pipes are
ordered, and their end is told.

When an owner is gone or silent, its writers give what was not answered to the next owner, in order.
Each process remembers what it has taken of each writer, so it takes nothing twice. When the owner
changes because a process came, a writer waits for all answers of the old one first, so that its own
publications keep their order.

A process that takes nothing for a while is left out, and told when it goes on: the channels that
missed an entry are reset with ``overflow``. None goes on behind a gap.

`Topics` puts the parts of a process together. What belongs here uses the pipes to other processes
(`transport.bus`), and no store.
"""
