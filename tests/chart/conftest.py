"""The API server for the tests of the chart."""

from tests.apiserver import api_server, namespace

__all__ = ["api_server", "namespace"]
