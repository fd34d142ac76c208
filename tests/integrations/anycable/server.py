"""The same endpoint as that of Action Cable."""

from tests.integrations.actioncable.server import app as app
