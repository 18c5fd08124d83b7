"""Rings a task after the commit; a lost ring costs only the time until the next sweep."""

from typing import Any

import structlog
from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

log = structlog.get_logger(__name__)


def ring(task: str, **ids: int) -> None:
    """Send ``payments.tasks.<task>`` with ids once the database transaction commits.

    A broker that is down is logged and forgotten: the work is a row, and the sweep finds it.
    """
    transaction.on_commit(lambda: _send(task, ids))


def _send(task: str, ids: dict[str, Any]) -> None:
    try:
        current_app.send_task(f"payments.tasks.{task}", kwargs=ids)
    except (OperationalError, OSError) as error:
        log.warning("doorbell_lost", task=task, error=type(error).__name__, **ids)
