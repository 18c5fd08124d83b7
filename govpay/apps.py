"""The project as an application, for its own table and commands."""

from django.apps import AppConfig


class GovPayConfig(AppConfig):
    """Idempotency records and project-wide commands."""

    name = "govpay"
    verbose_name = "govpay"

    def ready(self) -> None:
        """Make the Celery application the one of every thread, have logins recorded, and names said."""
        from govpay import celery, naming
        from govpay.login import acts

        celery.app.set_default()
        acts.connect()
        naming.speak()
