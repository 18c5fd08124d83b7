"""The payments application."""

from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    """Programs, people, disbursements and payouts."""

    name = "payments"
    verbose_name = "Payments"
