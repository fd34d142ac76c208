"""Topics that a store keeps, each as a log (`transport.protocol.topic_log`).

`StoredTopics` publishes (`transport.stores.topics.writer`) and reads. A `LogReader` has the members
of one topic and decides what they get; it knows which entries the store has lost (`Losses`) or has
twice (`Copies`). `LogReaders` subscribes to the topics that have members, and asks the store, one
question at a time (`Reads`). The members are `Memberships`, which are those of sessions, and
`Dismissals`.

What belongs here reads a store (`transport.stores.topics.wire`), and uses no pipe to another
process.
"""
