"""The API server for the tests of the chart."""

from tests.apiserver import api_server

__all__ = ["api_server"]
