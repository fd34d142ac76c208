"""The transports: thin adapters between ASGI and a `Link`. None numbers, stores or retries."""
