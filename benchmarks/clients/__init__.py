"""One client per peer, which uses the protocol as the peer's own client does."""
