"""The ways on which a list's money goes to its people."""

from django.db import models


class Rail(models.TextChoices):
    """How a list is paid; all of its lines go the same way."""

    BITCOIN = "bitcoin", "Bitcoin"
    BANK = "bank", "Bank file"
    VOUCHER = "voucher", "Vouchers"
