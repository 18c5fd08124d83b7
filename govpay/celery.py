"""The Celery application: tasks are doorbells, so a lost or doubled message costs nothing but time."""

import os
from typing import Any

import structlog
from celery import Celery, signals
from django.core.exceptions import ImproperlyConfigured
from django.db import close_old_connections, connections
from django_structlog.celery.steps import DjangoStructLogInitStep

from govpay import broker, longlived
from govpay.errors import GovPayError

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "govpay.settings")

broker.mend()
app = Celery("govpay")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(DjangoStructLogInitStep)


@signals.setup_logging.connect
def keep_django_logging(**_: Any) -> None:
    """Stop Celery from replacing the logging that settings.py configured."""
    structlog.contextvars.clear_contextvars()


@signals.task_prerun.connect
def renew_connections(**_: Any) -> None:
    """Have the database asked whether it is still there before the first statement of a task, as before a request.

    Celery itself would make a connection for each task, with a process of PostgreSQL behind it that has to read the
    whole catalogue anew; CELERY_DB_REUSE_MAX tells it to keep them.
    """
    close_old_connections()


@signals.task_prerun.connect
def enter_door(task_id: str = "", **_: Any) -> None:
    """Let what a task does be recorded as done by the engine, under the task's id."""
    from ledger import audit
    from ledger.models import Door

    audit.enter(Door.TASK, actor=audit.ENGINE, request_id=task_id)


@signals.task_postrun.connect
def leave_door(**_: Any) -> None:
    """Leave the door of the task."""
    from ledger import audit

    audit.leave()


@signals.task_failure.connect
def end_sessions(**_: Any) -> None:
    """Close the connections of a task that failed, or was cut off at its time limit: nobody knows what locks it holds."""
    connections.close_all()


@signals.worker_init.connect
def refuse_wrong_chain(**_: Any) -> None:
    """End a worker whose node follows another chain than the settings name, or whose broker evicts what is queued.

    Celery would only log an exception.
    """
    from payments.payout import guard

    try:
        broker.check_at_start()
        guard.check_at_start()
    except (GovPayError, ImproperlyConfigured) as error:
        raise SystemExit(f"The worker does not start: {error}") from error


@signals.worker_process_init.connect
def settle_in(**_: Any) -> None:
    """Settle in, in each process that works."""
    longlived.settle_in()
