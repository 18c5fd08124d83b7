"""How a price is made of a currency: its rule, the sources that are asked, what they said last, and the breaker (R-12)."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from payments.models.proposal import Proposal

USER = settings.AUTH_USER_MODEL
# Whatever the rule of a currency says: one source alone never makes a price, and prices may differ by half at most.
LEAST_SOURCES, MOST_SOURCES, MOST_BPS = 2, 20, 5_000
MOST_FRESH_S, MOST_QUOTE_S = 604_800, 86_400


class SourceKind(models.TextChoices):
    """Whose words a source speaks, or that it is a file or a person."""

    KRAKEN = "kraken", "Kraken ticker"
    COINBASE = "coinbase", "Coinbase Exchange ticker"
    COINBASE_SPOT = "coinbase_spot", "Coinbase spot price"
    BITSTAMP = "bitstamp", "Bitstamp ticker"
    BITFINEX = "bitfinex", "Bitfinex ticker"
    COINGECKO = "coingecko", "CoinGecko simple price"
    FILE = "file", "File"
    MANUAL = "manual", "Two people"


class PriceRule(models.Model):
    """What makes a price in a currency; ``proposal`` is the last one by which two people set it.

    ``spread_bps`` is how far a source may be from the median, ``jump_bps`` how far a price may be from the last accepted
    one, in hundredths of a percent. ``floor`` and ``ceiling`` bound it, in major units a bitcoin. A quote holds
    ``quote_s``. While it is not ``is_on`` nobody is asked and nothing is quoted.
    """

    currency = models.CharField(max_length=3, unique=True)
    is_on = models.BooleanField(default=True)
    least_sources = models.PositiveSmallIntegerField(
        validators=[MinValueValidator(LEAST_SOURCES), MaxValueValidator(MOST_SOURCES)]
    )
    spread_bps = models.PositiveSmallIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(MOST_BPS)]
    )
    jump_bps = models.PositiveSmallIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(MOST_BPS)]
    )
    floor = models.DecimalField(max_digits=20, decimal_places=8)
    ceiling = models.DecimalField(max_digits=20, decimal_places=8)
    quote_s = models.PositiveIntegerField(validators=[MinValueValidator(10), MaxValueValidator(MOST_QUOTE_S)])
    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(currency__regex=r"^[A-Z]{3}$"), name="pricerule_currency_code"
            ),
            models.CheckConstraint(
                condition=Q(least_sources__gte=LEAST_SOURCES), name="pricerule_never_one_source"
            ),
            models.CheckConstraint(
                condition=Q(spread_bps__range=(1, MOST_BPS), jump_bps__range=(1, MOST_BPS)),
                name="pricerule_limits_in_range",
            ),
            models.CheckConstraint(
                condition=Q(floor__gt=0, ceiling__gt=F("floor")),
                name="pricerule_floor_below_ceiling",
                violation_error_message="The floor must be above zero, and the ceiling above the floor.",
            ),
        ]

    def __str__(self) -> str:
        return f"Bitcoin in {self.currency}"


class PriceSource(models.Model):
    """Somebody who says what a bitcoin costs; ``proposal`` is the last one by which two people set it.

    ``address`` is where it is asked: scheme and host, to which the kind adds its path; of a file the name in its folder; of
    two people nothing. What it says is stale ``fresh_s`` after its own time.
    """

    currency = models.CharField(max_length=3)
    name = models.CharField(max_length=60)
    kind = models.CharField(max_length=13, choices=SourceKind)
    address = models.CharField(max_length=300, blank=True)
    fresh_s = models.PositiveIntegerField(validators=[MinValueValidator(10), MaxValueValidator(MOST_FRESH_S)])
    ended_at = models.DateTimeField(null=True, blank=True)
    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["currency", "name"], condition=Q(ended_at=None), name="pricesource_name_once"
            ),
            # Whoever is asked twice would be believed twice.
            models.UniqueConstraint(
                fields=["currency", "kind", "address"],
                condition=Q(ended_at=None),
                name="pricesource_asked_once",
                violation_error_message="A source of this kind is asked at this address already.",
            ),
            models.CheckConstraint(
                condition=Q(kind=SourceKind.MANUAL, address="") | ~Q(kind=SourceKind.MANUAL) & ~Q(address=""),
                name="pricesource_has_its_address",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.currency})"


class PriceReading(models.Model):
    """What a source that can be asked said last, or why it said nothing: one row a source, written by the watch.

    ``value_at`` is by the source's own clock; else it is when these bytes (``sha256``) were seen first (``seen_at``),
    so that an answer that never changes grows old. ``fault`` is of the last look; a source that did not answer keeps what
    it said, and one that answered something odd its last good bytes, so that those are not new when they come again.
    """

    source = models.OneToOneField(PriceSource, on_delete=models.PROTECT, related_name="reading")
    value = models.DecimalField(max_digits=20, decimal_places=8, null=True)
    value_at = models.DateTimeField(null=True)
    sha256 = models.BinaryField(max_length=32, null=True)
    seen_at = models.DateTimeField(null=True)
    asked_at = models.DateTimeField()
    fault = models.CharField(max_length=40, blank=True)
    message = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(value=None, value_at=None) | Q(value__gt=0, value_at__isnull=False),
                name="pricereading_value_with_its_time",
            ),
        ]

    def __str__(self) -> str:
        return f"reading of source {self.source_id}"


class PriceStatus(models.Model):
    """Where a currency stands after the last look: the last price that was accepted, and what stands against one now."""

    rule = models.OneToOneField(PriceRule, on_delete=models.PROTECT, related_name="status")
    accepted_price = models.DecimalField(max_digits=20, decimal_places=8, null=True)
    accepted_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    broken_rule = models.CharField(max_length=20, blank=True)
    message = models.CharField(max_length=300, blank=True)
    # Until when whoever looks has it to themselves, and then when it is due.
    due_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(accepted_price=None, accepted_at=None)
                | Q(accepted_price__gt=0, accepted_at__isnull=False),
                name="pricestatus_accepted_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"status of {self.rule_id}"


class PriceBreaker(models.Model):
    """A jump of the price: until two people have closed it, at the price from which it goes on, nothing is quoted."""

    rule = models.ForeignKey(PriceRule, on_delete=models.PROTECT, related_name="breakers")
    opened_at = models.DateTimeField()
    from_price = models.DecimalField(max_digits=20, decimal_places=8)
    to_price = models.DecimalField(max_digits=20, decimal_places=8)
    close_price = models.DecimalField(max_digits=20, decimal_places=8, null=True)
    close_note = models.CharField(max_length=300, blank=True)
    asked_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["rule"], condition=Q(closed_at=None), name="pricebreaker_one_open"
            ),
            models.CheckConstraint(
                condition=Q(close_price=None, asked_by=None, asked_at=None)
                | Q(close_price__gt=0, asked_by__isnull=False, asked_at__isnull=False),
                name="pricebreaker_asked_with_a_price",
            ),
            models.CheckConstraint(
                condition=Q(closed_by=None, closed_at=None)
                | Q(closed_by__isnull=False, closed_at__isnull=False, asked_by__isnull=False)
                & ~Q(closed_by=F("asked_by")),
                name="pricebreaker_closed_by_two",
            ),
        ]

    def __str__(self) -> str:
        return f"breaker {self.pk}"

    @property
    def is_open(self) -> bool:
        """Whether nothing is quoted for it."""
        return self.closed_at is None


class ManualPrice(models.Model):
    """A price that one person gave and another confirmed: what a source of the kind ``manual`` says, as of ``given_at``.

    Both words are signed: the MAC covers source, price, people and times under a key that the database lacks, and without
    it the price is none. The newest confirmed one counts, unless somebody withdrew it.
    """

    source = models.ForeignKey(PriceSource, on_delete=models.PROTECT, related_name="manual_prices")
    price = models.DecimalField(max_digits=20, decimal_places=8)
    note = models.CharField(max_length=300)
    given_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    given_at = models.DateTimeField()
    confirmed_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    confirmed_at = models.DateTimeField(null=True)
    withdrawn_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    withdrawn_at = models.DateTimeField(null=True)
    key_id = models.CharField(max_length=8, blank=True)
    mac = models.BinaryField(max_length=32, null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(price__gt=0), name="manualprice_positive"),
            models.CheckConstraint(
                condition=Q(confirmed_by=None, confirmed_at=None)
                | Q(confirmed_by__isnull=False, confirmed_at__isnull=False) & ~Q(confirmed_by=F("given_by")),
                name="manualprice_confirmed_by_another",
            ),
            models.CheckConstraint(
                condition=Q(withdrawn_by=None, withdrawn_at=None)
                | Q(withdrawn_by__isnull=False, withdrawn_at__isnull=False),
                name="manualprice_withdrawn_by_somebody",
            ),
        ]
        indexes = [models.Index(fields=["source", "-id"], name="manualprice_newest")]

    def __str__(self) -> str:
        return f"manual price {self.pk}"

    @property
    def state(self) -> str:
        """Where it stands: withdrawn, confirmed, or given."""
        if self.withdrawn_at is not None:
            return "withdrawn"
        return "given" if self.confirmed_at is None else "confirmed"
