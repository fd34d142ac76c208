"""The servers of the peers, written as their documentation recommends.

Every module has ``echo``, which sends each message back to its sender, and ``lobby``, which sends
each message to all clients.
"""
