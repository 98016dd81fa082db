"""Fixtures of the tests that run servers."""
from fixtures import model, netns, serve  # noqa: F401
