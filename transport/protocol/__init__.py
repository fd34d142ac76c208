"""The protocol of PROTOCOL.md as pure code: frames, inputs and ``now`` go in; frames, events and
deadlines come out. Nothing here does I/O, reads a clock, draws a random number or logs.
"""
