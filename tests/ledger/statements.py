"""Counts what a call asks of the database."""

from collections.abc import Callable

from django.db import connection
from django.test.utils import CaptureQueriesContext


def count(call: Callable[[], object]) -> int:
    """Return how many statements of a call touch the ledger."""
    with CaptureQueriesContext(connection) as captured:
        call()
    return sum("ledger_" in query["sql"] for query in captured)
