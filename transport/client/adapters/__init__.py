"""Adapters between a connection of the client and its session, one for each transport."""
