"""The API's clients, for tests of what all views share."""

from tests.payments.api.conftest import api

__all__ = ["api"]
