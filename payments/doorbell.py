"""Rings a task after the commit; a lost ring costs only the time until the next sweep."""

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import structlog
from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu.exceptions import OperationalError

log = structlog.get_logger(__name__)


class Ring(NamedTuple):
    """A task to ring, with the ids that it needs."""

    task: str
    ids: dict[str, int]


def ring(task: str, **ids: int) -> None:
    """Send ``payments.tasks.<task>`` with ids once the database transaction commits.

    A broker that is down is logged and forgotten: the work is a row, and the sweep finds it.
    """
    transaction.on_commit(lambda: _send(task, ids))


def ring_missing(rings: Sequence[Ring]) -> None:
    """Ring for rows that have work, unless the queue of each holds as many rings already.

    While workers hang, every sweep finds the same rows again. Counting what waits keeps the queue as short as the
    work is, and needs no clock, as messages that expire would: a machine an hour off would drop every one of them.
    What waits may be other rings than these: which of these are left out is drawn each time, so that none is for ever.
    """
    of_queue: dict[str, list[Ring]] = {}
    for found in rings:
        of_queue.setdefault(_queue_of(found.task), []).append(found)
    for queue, wanted in of_queue.items():
        missing = max(len(wanted) - _count_waiting(queue), 0)
        for position in sorted(random.sample(range(len(wanted)), missing)):
            ring(wanted[position].task, **wanted[position].ids)


def drop_stale_rounds(most: int) -> None:
    """Empty the queue of rounds when more wait than ``most``: they pile up while nobody works, and all ask the same."""
    queue = settings.GOVPAY_ROUNDS_QUEUE
    waiting = _count_waiting(queue)
    if waiting > most:
        log.warning("stale_rounds_dropped", waiting=waiting)
        with current_app.pool.acquire(block=True) as connection:
            connection.default_channel.queue_purge(queue)


def _queue_of(task: str) -> str:
    route = settings.CELERY_TASK_ROUTES.get(f"payments.tasks.{task}", {})
    return str(route.get("queue", settings.CELERY_TASK_DEFAULT_QUEUE))


def _count_waiting(queue: str) -> int:
    """Return how many messages wait in a queue; zero when the broker does not say."""
    with current_app.pool.acquire(block=True) as connection:
        try:
            return int(connection.default_channel.queue_declare(queue, passive=True).message_count)
        except connection.channel_errors:
            # A queue that is empty does not exist.
            return 0
        except (OperationalError, OSError, *connection.connection_errors) as error:
            log.warning("queue_not_counted", queue=queue, error=type(error).__name__)
            return 0


def _send(task: str, ids: dict[str, Any]) -> None:
    try:
        current_app.send_task(f"payments.tasks.{task}", kwargs=ids)
    except (OperationalError, OSError) as error:
        log.warning("doorbell_lost", task=task, error=type(error).__name__, **ids)
