"""Topics: what the processes of a hub publish for each other's channels.

There are two designs, which do not use each other. If a store keeps the sessions, it also keeps the
topics, each as a log (`transport.protocol.topic_log`): see `StoredTopics`, which publishes and
reads, and `Memberships` and `Dismissals`, which are the members. Without such a store, a process
owns each topic, in memory: see `transport.server.topics.owned`.
"""
