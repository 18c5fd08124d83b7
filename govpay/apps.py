"""The project as an application, for its own table and commands."""

from django.apps import AppConfig


class GovPayConfig(AppConfig):
    """Idempotency records and project-wide commands."""

    name = "govpay"
    verbose_name = "govpay"
