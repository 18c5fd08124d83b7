"""The project as an application, for its own table and commands."""

from django.apps import AppConfig


class GovPayConfig(AppConfig):
    """Idempotency records and project-wide commands."""

    name = "govpay"
    verbose_name = "govpay"

    def ready(self) -> None:
        """Make the Celery application the one that every thread's tasks are sent by, and have logins recorded."""
        from govpay import celery
        from govpay.login import acts

        celery.app.set_default()
        acts.connect()
