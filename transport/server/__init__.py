"""The server: `Hub` and what drives the sessions behind it."""
