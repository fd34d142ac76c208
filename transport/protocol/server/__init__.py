"""The server's half of a session."""
