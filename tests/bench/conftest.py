"""Fixtures: a real API server and a namespace of the test's own."""

from tests.apiserver import api_server, namespace

__all__ = ["api_server", "namespace"]
