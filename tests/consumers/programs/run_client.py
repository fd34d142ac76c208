"""The Python client under each runner: `run_client.py URL TRANSPORT`."""

import asyncio
import sys

import anyio
from conversation import converse

_, url, transport_name = sys.argv
asyncio.run(converse(url, transport_name))
asyncio.run(converse(url, transport_name), debug=True)
anyio.run(converse, url, transport_name)
