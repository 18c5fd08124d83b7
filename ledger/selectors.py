"""Reads of the books for screens and programs: rows with their sums, a constant number of statements."""

from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import (
    BigIntegerField,
    CharField,
    Count,
    Exists,
    F,
    OuterRef,
    QuerySet,
    Subquery,
    Sum,
    Value,
)
from django.db.models.functions import Coalesce, JSONObject

from govpay.errors import NotFound
from ledger.models import (
    Account,
    Checkpoint,
    DayMark,
    DayTotal,
    Entry,
    Layer,
    Period,
    PeriodChange,
    PeriodStatus,
    Posting,
    ReconciliationRun,
    Redaction,
    RedactionRequest,
)


def accounts_with_balance() -> "QuerySet[Account, Account]":
    """Return the accounts with ``balance``: settled debits minus credits, for the rows that are read.

    They are what the days hold, and the lines since from an index: not every line that there ever was.
    """
    mark = Coalesce(Subquery(DayMark.objects.values("through_entry_id")[:1]), 0)
    lines = Posting.objects.filter(account=OuterRef("pk"), layer=Layer.SETTLED, entry_id__gt=mark)
    days = DayTotal.objects.filter(account=OuterRef("pk"), layer=Layer.SETTLED)
    since = lines.order_by().values("account").annotate(total=Sum("amount"))
    before = days.order_by().values("account").annotate(total=Sum(F("debit") - F("credit")))
    return Account.objects.annotate(balance=_zero_unless(before) + _zero_unless(since))


def entries_with_totals() -> "QuerySet[Entry, Entry]":
    """Return the entries with ``line_count``, ``amount_sat`` (the debits in satoshis) and ``reversed_by_id``."""
    debits = _lines().filter(amount__gt=0, account__currency="BTC")
    return _entries().annotate(amount_sat=_zero_unless(debits.annotate(total=Sum("amount"))))


def entries_with_debits() -> "QuerySet[Entry, Entry]":
    """Return the entries with ``line_count``, ``debits`` and ``reversed_by_id``.

    ``debits`` are their sums by currency, each with ``currency``, ``scale`` and ``total``: an entry may be of several.
    """
    debits = _lines().filter(amount__gt=0).values("account__currency", "account__scale")
    found = debits.annotate(total=Sum("amount")).order_by("account__currency", "account__scale")
    shown = JSONObject(currency="account__currency", scale="account__scale", total="total")
    return _entries().annotate(debits=ArraySubquery(found.values(json=shown)))


def _entries() -> "QuerySet[Entry, Entry]":
    counted = _zero_unless(_lines().annotate(total=Count("pk")))
    return Entry.objects.annotate(line_count=counted, reversed_by_id=F("reversed_by__pk"))


def _lines() -> "QuerySet[Posting, Any]":
    return Posting.objects.filter(entry=OuterRef("pk")).order_by().values("entry")


def postings_with_accounts() -> "QuerySet[Posting, Posting]":
    """Return the postings with ``account_code``, ``currency`` and ``scale``, which says what their amounts count."""
    return Posting.objects.annotate(
        account_code=F("account__code"), currency=F("account__currency"), scale=F("account__scale")
    )


def checkpoints_with_heads() -> "QuerySet[Checkpoint, Checkpoint]":
    """Return the checkpoints with ``size``, how many entries they cover, and ``head``, the hash that was signed."""
    return Checkpoint.objects.annotate(size=F("seal__size"), head=F("seal__root"))


def get_checkpoint(checkpoint_id: int) -> Checkpoint:
    """Return a checkpoint with ``size`` and ``head``; raise NotFound."""
    found = checkpoints_with_heads().filter(pk=checkpoint_id).first()
    if found is None:
        raise NotFound(f"There is no checkpoint {checkpoint_id}.")
    return found


def get_entry(entry_id: int, *fields: str) -> dict[str, Any]:
    """Return the named columns of an entry and its totals; raise NotFound."""
    row: dict[str, Any] | None = entries_with_totals().filter(pk=entry_id).values(*fields).first()
    if row is None:
        raise NotFound(f"There is no entry {entry_id}.")
    return row


def periods() -> "QuerySet[Any, Any]":
    """Return the periods in their order with ``status`` and ``starts_at``, the end of the one before or None."""
    latest = PeriodChange.objects.filter(period=OuterRef("pk")).order_by("-pk").values("status")[:1]
    before = Period.objects.filter(ends_at__lt=OuterRef("ends_at")).order_by("-ends_at").values("ends_at")[:1]
    return Period.objects.annotate(
        status=Coalesce(Subquery(latest), Value(PeriodStatus.OPEN.value), output_field=CharField()),
        starts_at=Subquery(before),
    ).order_by("ends_at")


def get_period(name: str | None = None, *, pk: int | None = None) -> Any:
    """Return a period by its name or number, as `periods` does; raise NotFound."""
    period = periods().filter(**({"name": name} if pk is None else {"pk": pk})).first()
    if period is None:
        raise NotFound(f"There is no period {name or pk}.")
    return period


def last_change(period: Period) -> PeriodChange | None:
    """Return what was done with a period last, or None when it was only opened."""
    return PeriodChange.objects.filter(period=period).order_by("-pk").first()


def entries_since(change: PeriodChange) -> "QuerySet[Entry, Entry]":
    """Return the entries dated before a period's end that were not there yet when it was closed."""
    late = Entry.objects.filter(pk__gt=change.through_entry_id, effective_at__lt=change.period.ends_at)
    return late.order_by("pk")


def redaction_requests() -> "QuerySet[RedactionRequest, RedactionRequest]":
    """Return what was asked to be blacked out, with what the leaf is of, who agreed and when.

    ``is_redacted`` says whether the leaf is blacked out, be it by this request or by another one.
    """
    return RedactionRequest.objects.annotate(
        entry_id=F("leaf__entry_id"),
        run_id=F("leaf__run_id"),
        period_id=F("leaf__period_change__period_id"),
        event_id=F("leaf__event_id"),
        approved_by=F("redaction__approved_by"),
        redacted_at=F("redaction__redacted_at"),
        is_redacted=Exists(Redaction.objects.filter(leaf=OuterRef("leaf"))),
    )


def get_redaction_request(request_id: int, *fields: str) -> dict[str, Any]:
    """Return the named columns of what was asked to be blacked out; raise NotFound."""
    row: dict[str, Any] | None = redaction_requests().filter(pk=request_id).values(*fields).first()
    if row is None:
        raise NotFound(f"There is no request {request_id} for a redaction.")
    return row


def get_run(run_id: int) -> ReconciliationRun:
    """Return a reconciliation run; raise NotFound."""
    run = ReconciliationRun.objects.filter(pk=run_id).first()
    if run is None:
        raise NotFound(f"There is no reconciliation run {run_id}.")
    return run


def _zero_unless(totals: Any) -> Coalesce:
    return Coalesce(Subquery(totals.values("total")), 0, output_field=BigIntegerField())
