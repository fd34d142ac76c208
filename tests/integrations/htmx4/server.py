"""The same endpoint as that of htmx 2."""

from tests.integrations.htmx.server import app as app
