"""This project's channel in two processes, which serve each other's sessions."""

from __future__ import annotations

from benchmarks.servers.onechannel import LIMITS, echoing
from transport import Hub, Workers

echo = Hub(echoing, store=Workers(), limits=LIMITS)
