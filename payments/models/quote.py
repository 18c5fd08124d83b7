"""Quotes: a price of bitcoin that was taken at a moment and holds for a while, with all that each source said (R-12)."""

from datetime import datetime

from django.db import models
from django.db.models import F, Q


class Quote(models.Model):
    """The price of a bitcoin in major units of a currency, from ``taken_at`` until before ``expires_at``; never changed.

    ``values`` has an object a source: ``source`` (its id), ``name``, ``kind``, ``value`` and ``value_at`` (null where it
    said nothing), ``is_used``, and ``why`` it was not, else empty. ``rule`` is what it was judged by. The MAC covers all of
    it under a key that the database lacks, so that nobody who writes rows makes a price.
    """

    currency = models.CharField(max_length=3)
    price = models.DecimalField(max_digits=20, decimal_places=8)
    taken_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    values = models.JSONField()
    rule = models.JSONField()
    key_id = models.CharField(max_length=8)
    mac = models.BinaryField(max_length=32)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(currency__regex=r"^[A-Z]{3}$"), name="quote_currency_code"),
            models.CheckConstraint(condition=Q(price__gt=0), name="quote_price_positive"),
            models.CheckConstraint(condition=Q(expires_at__gt=F("taken_at")), name="quote_expires_later"),
        ]
        indexes = [models.Index(fields=["currency", "-id"], name="quote_newest")]

    def __str__(self) -> str:
        return f"quote {self.pk}"

    def is_expired(self, at: datetime) -> bool:
        """Tell whether it does not hold any more at a moment."""
        return at >= self.expires_at
