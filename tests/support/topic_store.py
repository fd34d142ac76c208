"""A store of topics with faults, for tests."""

from transport.testing.topic_model import TopicModel as ModelStore

__all__ = ["ModelStore"]
