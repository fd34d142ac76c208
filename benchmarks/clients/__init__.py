"""A client for each peer's protocol, as its own client speaks it."""
