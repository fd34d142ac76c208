"""Ordered pipes between the processes that serve one hub, and calls over them."""
