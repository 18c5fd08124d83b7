"""The Celery application: tasks are doorbells, so a lost or doubled message costs nothing but time."""

import os
from typing import Any

import structlog
from celery import Celery, signals
from django.core.exceptions import ImproperlyConfigured
from django_structlog.celery.steps import DjangoStructLogInitStep

from govpay import broker
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
