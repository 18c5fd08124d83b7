"""A browser of somebody who is paid: no account, and counts that begin anew."""

import pytest
from django.core.cache import cache
from django.test import Client


@pytest.fixture
def visitor() -> Client:
    """Checks the forms' tokens as a browser's server does."""
    cache.clear()
    return Client(enforce_csrf_checks=True)
