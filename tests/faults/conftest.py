"""The running service of the acceptance tests."""

from tests.acceptance.conftest import service

__all__ = ["service"]
