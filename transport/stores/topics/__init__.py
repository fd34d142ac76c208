"""Topics in a store: what processes publish for each other's channels, and read.

`TopicWriter` publishes over one connection; `wire` says what a store must offer. What a store keeps
of a topic, and what an entry is to a member, is in `transport.protocol.topic_log`.
"""
