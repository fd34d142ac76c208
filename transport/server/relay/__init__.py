"""The relay: any process of a hub serves the connections and requests of any session.

The *home* of a session is the process that runs its handler and has its `ServerSession`; its name
begins the session's id. An *edge* is a process that has a connection or a request of a session
whose home is another one. It passes whole frames on and judges nothing.
"""
