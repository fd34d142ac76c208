"""Topics: what the processes of a hub publish for each other's channels.

There are two kinds. If a store keeps the sessions, it also keeps the topics, each as a log
(`transport.protocol.topic_log`): see `StoredTopics`, which publishes and reads, and `Memberships`
and `Dismissals`, which are the members. The rest of this text, and `Topics`, is about processes
without such a store.

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
"""
