"""Sessions in Redis: any process can go on with those of a process that has died.

`Keys` names what is stored, `records` and the Lua scripts say how. The scripts decide as
`transport.protocol.journal` does, which is their reference.
"""
