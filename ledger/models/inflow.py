"""What came to the public sector's addresses, what it came for, and what it was worth; never changed or deleted (R-27)."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, OuterRef, Q, Subquery
from django.db.models.functions import Now

from ledger.models.lot import MOST_SAT, REFERENCE, SCOPE
from ledger.models.reserve import HASH, ReserveScan

USER = settings.AUTH_USER_MODEL


class InflowKind(models.TextChoices):
    """What bitcoin came for."""

    PURCHASE = "purchase", "Purchase"
    MINING = "mining", "Mining"
    FORFEITURE = "forfeiture", "Forfeiture"
    DONATION = "donation", "Donation"
    INTERNAL_TRANSFER = "internal_transfer", "Internal transfer"
    CLIENT_DEPOSIT = "client_deposit", "Client deposit"


# What the state adds of its own will, which a ceiling is about.
VOLUNTARY = (InflowKind.PURCHASE, InflowKind.MINING)
# What becomes the institution's own and has a cost, if none but zero; the rest is moved or held for others.
ACQUIRED = (*VOLUNTARY, InflowKind.FORFEITURE, InflowKind.DONATION)


class InflowQuerySet(models.QuerySet["Inflow"]):
    """Inflows whose scan stands, with what they are classed as."""

    def standing(self) -> Self:
        """Leave out what only a scan saw whose block left the chain."""
        return self.filter(scan__loss=None)

    def classed(self) -> Self:
        """Add ``kind``, ``funding_source`` and ``class_reference`` of the newest class, None where there is none."""
        newest = InflowClass.objects.filter(txid=OuterRef("txid"), vout=OuterRef("vout")).order_by("-pk")
        return self.annotate(
            kind=Subquery(newest.values("kind")[:1]),
            funding_source=Subquery(newest.values("funding_source")[:1]),
            class_reference=Subquery(newest.values("reference")[:1]),
            lot_reference=Subquery(newest.values("lot_reference")[:1]),
        )


class Inflow(models.Model):
    """An unspent output that a scan saw and none that stands before it; the names are as they were then.

    ``scope`` is the institution in the books, ``height`` the block of the tx.
    """

    scan = models.ForeignKey(ReserveScan, on_delete=models.PROTECT, related_name="inflows")
    scope = models.CharField(max_length=40)
    holding_number = models.BigIntegerField()
    address = models.CharField(max_length=100)
    txid = models.CharField(max_length=64)
    vout = models.PositiveIntegerField()
    amount_sat = models.BigIntegerField()
    height = models.PositiveIntegerField()

    objects = InflowQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["txid", "vout", "scan"], name="inflow_outpoint_once"),
            models.CheckConstraint(
                condition=Q(
                    txid__regex=HASH, scope__regex=SCOPE, amount_sat__gte=0, amount_sat__lte=MOST_SAT
                ),
                name="inflow_in_range",
            ),
        ]
        indexes = [
            models.Index(fields=["scope", "id"], name="inflow_of_institution"),
            models.Index(fields=["address"], name="inflow_of_address"),
        ]

    def __str__(self) -> str:
        return f"{self.txid}:{self.vout}"


class InflowClass(models.Model):
    """What an output came for, by two people: the newest of an outpoint counts, in whichever scan it was seen.

    ``effective_at`` is when it was acquired or moved. ``reference`` is the act in which it was classed, ``lot_reference``
    the acquisition that was recorded for it, empty where none was.
    """

    txid = models.CharField(max_length=64)
    vout = models.PositiveIntegerField()
    kind = models.CharField(max_length=17, choices=InflowKind)
    funding_source = models.CharField(max_length=100)
    effective_at = models.DateTimeField()
    reference = models.CharField(max_length=60)
    lot_reference = models.CharField(max_length=60, blank=True)
    classed_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    confirmed_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["txid", "vout", "reference"], name="inflowclass_act_once"),
            models.CheckConstraint(
                condition=Q(txid__regex=HASH, reference__regex=REFERENCE) & ~Q(funding_source=""),
                name="inflowclass_names_grammar",
            ),
            models.CheckConstraint(
                condition=~Q(confirmed_by=F("classed_by")), name="inflowclass_confirmed_by_another"
            ),
            models.CheckConstraint(
                condition=Q(lot_reference="") | Q(kind__in=ACQUIRED), name="inflowclass_lots_are_acquired"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.txid}:{self.vout}"


class ReserveValuation(models.Model):
    """What a bitcoin cost at a scan, in major units, by a quote (``quote_number``); or the rule that stood against one."""

    scan = models.ForeignKey(ReserveScan, on_delete=models.PROTECT, related_name="valuations")
    currency = models.CharField(max_length=3)
    scale = models.PositiveSmallIntegerField()
    price = models.DecimalField(max_digits=20, decimal_places=8, null=True)
    quote_number = models.BigIntegerField(null=True)
    rule = models.CharField(max_length=40, blank=True)
    message = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["scan", "currency"], name="reservevaluation_currency_once"),
            models.CheckConstraint(
                condition=Q(price__gt=0, quote_number__isnull=False, rule="")
                | Q(price=None, quote_number=None) & ~Q(rule=""),
                name="reservevaluation_quoted_or_refused",
            ),
            models.CheckConstraint(
                condition=Q(currency__regex="^[A-Z]{3}$", scale__lte=4), name="reservevaluation_currency_code"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.currency} at {self.scan_id}"
