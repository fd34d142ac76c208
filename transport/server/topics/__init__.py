"""Topics: what the processes of a hub publish for each other's channels.

There are two designs, which do not use each other. Without a store of the sessions, each topic is
*owned* by a process, in memory (`transport.server.topics.owned`). A store that keeps the sessions
also keeps the topics, each as a log (`transport.server.topics.stored`).
"""
