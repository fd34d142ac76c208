"""Adapters between ASGI and a `Link`, one for each transport. None numbers, stores or retries."""
