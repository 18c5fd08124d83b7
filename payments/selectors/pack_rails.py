"""What payments testify to packs of other rails: bank files and the banks' answers, vouchers, and the legs of trusts.

Of files and answers, which hold names and accounts, a pack has the SHA-256 and an extract without people: ids, amounts and
what became of each. Officers and agents are the numbers of their users, as audit events have them beside their names.
"""

import re
from collections.abc import Iterator
from typing import Any

from django.db.models import BigIntegerField, Case, F, OuterRef, Q, QuerySet, Subquery, When

from ledger.packs import record
from ledger.packs.evidence import Elsewhere, File, Numbers
from payments.models import BankFile, BankFileLine, BankReport, Disbursement, Payment, Rail, TrustLeg, Voucher
from payments.prices import currency
from payments.selectors import pack_lists
from payments.services import rail_files
from payments.services.trust_payouts import ORIGIN as TRUST
from payments.states import BankFileStatus, LegStatus

FETCH = 2_000
# Of reasons only ISO's codes: what a bank writes in its own words may be about a person.
REASON = re.compile("[A-Z]{2}[0-9]{2}")


def sources(list_ids: list[int]) -> Iterator[str]:
    """Yield the sources of entries about the files, answers and vouchers of some lists."""
    files = _files(Disbursement.objects.filter(pk__in=list_ids)).order_by("pk")
    for pk in files.values_list("pk", flat=True).iterator(chunk_size=FETCH):
        yield f"bankfile:{pk}"
    reports = BankReport.objects.filter(bank_file__in=files.order_by()).order_by("pk")
    for pk in reports.values_list("pk", flat=True).iterator(chunk_size=FETCH):
        yield f"bankreport:{pk}"
    vouchers = Voucher.objects.filter(payment__disbursement__in=list_ids).order_by("pk")
    for pk in vouchers.values_list("pk", flat=True).iterator(chunk_size=FETCH):
        yield f"voucher:{pk}"


def lists_of(numbers: Numbers) -> Q:
    """Return the condition for lists of whose files, answers or vouchers the chosen entries are."""
    files = BankFile.objects.filter(
        Q(pk__in=numbers("bankfile")) | Q(pk__in=_files_of_reports(numbers("bankreport")))
    )
    legs = TrustLeg.objects.filter(
        pk__in=BankFileLine.objects.filter(bank_file__in=files.filter(origin=TRUST)).values("settles_id")
    )
    return (
        Q(pk__in=files.filter(origin=rail_files.NAME).values("origin_id"))
        | Q(pk__in=legs.values("payment__disbursement"))
        | Q(pk__in=Voucher.objects.filter(pk__in=numbers("voucher")).values("payment__disbursement"))
    )


def files(lists: QuerySet[Disbursement]) -> Iterator[File]:
    """Yield the files about other rails of some lists, and about trusts that their people elected; none where none is."""
    shown = _files(lists)
    legs = TrustLeg.objects.filter(payment__disbursement__in=lists.values("pk"))
    vouchers = Voucher.objects.filter(payment__disbursement__in=lists.values("pk"))
    if shown.exists():
        yield File("bank-files.jsonl", _bank_files(shown))
        yield File("bank-reports.jsonl", _reports(shown))
        yield File("bank-lines.jsonl", _lines(shown))
    if vouchers.exists():
        yield File("vouchers.jsonl", _vouchers(vouchers))
    if legs.exists():
        yield File("trust-legs.jsonl", _legs(legs))


def _files(lists: QuerySet[Disbursement]) -> QuerySet[BankFile]:
    """Return the written files that pay lines of some lists, or legs that trusts took of them."""
    legs = TrustLeg.objects.filter(payment__disbursement__in=lists.values("pk"))
    of_legs = BankFileLine.objects.filter(settles__startswith="trust_leg:", settles_id__in=legs.values("pk"))
    return BankFile.objects.exclude(status=BankFileStatus.WAITING).filter(
        Q(origin=rail_files.NAME, origin_id__in=lists.values("pk"))
        | Q(origin=TRUST, pk__in=of_legs.values("bank_file"))
    )


def _files_of_reports(numbers: Any) -> Any:
    return BankReport.objects.filter(pk__in=numbers).values("bank_file")


def _bank_files(shown: QuerySet[BankFile]) -> Iterator[bytes]:
    for row in shown.order_by("pk").iterator(chunk_size=FETCH):
        yield record.line(
            {
                "bank_file": str(row.pk),
                "currency": row.currency,
                "line_count": str(row.line_count),
                "list": str(row.origin_id) if row.origin == rail_files.NAME else None,
                "message_id": row.message_id,
                "scale": currency.scale(row.currency),
                "scope": row.scope,
                "sha256": bytes(row.sha256 or b"").hex(),
                "total_minor": str(row.total_minor),
            }
        )


def _reports(shown: QuerySet[BankFile]) -> Iterator[bytes]:
    rows = BankReport.objects.filter(bank_file__in=shown.values("pk")).order_by("pk")
    for row in rows.iterator(chunk_size=FETCH):
        yield record.line(
            {
                "bank_file": str(row.bank_file_id),
                "rejected_count": str(row.rejected_count),
                "rejected_minor": str(row.rejected_minor),
                "report": str(row.pk),
                "settled_count": str(row.settled_count),
                "settled_minor": str(row.settled_minor),
                "sha256": bytes(row.sha256).hex(),
            }
        )


def _lines(shown: QuerySet[BankFile]) -> Iterator[bytes]:
    paid = TrustLeg.objects.filter(pk=OuterRef("settles_id")).values("payment_id")
    rows = BankFileLine.objects.filter(bank_file__in=shown.values("pk")).order_by("bank_file", "number")
    rows = rows.annotate(
        payment_id=Case(
            When(settles=rail_files.SETTLES, then=F("settles_id")),
            default=Subquery(paid),
            output_field=BigIntegerField(),
        )
    )
    columns = (
        "bank_file_id",
        "end_to_end_id",
        "amount_minor",
        "payment_id",
        "settles",
        "outcome",
        "reason",
        "report_id",
    )
    for file_id, end_to_end_id, minor, payment_id, settles, outcome, reason, report_id in rows.values_list(
        *columns
    ).iterator(chunk_size=FETCH):
        yield record.line(
            {
                "amount_minor": str(minor),
                "attempt": None if settles == rail_files.SETTLES else settles.partition(":")[2],
                "bank_file": str(file_id),
                "end_to_end_id": end_to_end_id,
                "outcome": outcome,
                "payment": str(payment_id),
                "reason": reason if REASON.fullmatch(reason) else "",
                "report": None if report_id is None else str(report_id),
            }
        )


def _vouchers(shown: QuerySet[Voucher]) -> Iterator[bytes]:
    people = ("cancel_asked_by_id", "cancelled_by_id", "issued_by_id", "redeemed_by_id", "replaces_id")
    times = ("ended_at", "expires_at", "issued_at", "made_at")
    columns = ("pk", "payment_id", "status", "amount_minor", "currency", *people, *times)
    for row in shown.order_by("pk").values(*columns).iterator(chunk_size=FETCH):
        yield record.line(
            {
                "amount_minor": str(row["amount_minor"]),
                "currency": row["currency"],
                "payment": str(row["payment_id"]),
                "scale": currency.scale(row["currency"]),
                "status": row["status"],
                "voucher": str(row["pk"]),
                **{name.removesuffix("_id"): _number(row[name]) for name in people},
                **{name: pack_lists.moment(row[name]) for name in times},
            }
        )


def _legs(shown: QuerySet[TrustLeg]) -> Iterator[bytes]:
    rows = shown.select_related("purse", "trust", "quote").order_by("pk")
    for row in rows.iterator(chunk_size=FETCH):
        yield record.line(
            {
                "amount_sat": _number(row.amount_sat),
                "attempt": str(row.attempt),
                "currency": row.purse.currency,
                "leg": str(row.pk),
                "payment": str(row.payment_id),
                "quote": None if row.quote is None else pack_lists.quote_of(row.quote),
                "scale": row.purse.scale,
                "status": row.status,
                "taken_at": pack_lists.moment(row.taken_at),
                "trust": row.trust.scope,
                "value_minor": _number(row.value_minor),
            }
        )


def _number(value: int | None) -> str | None:
    return None if value is None else str(value)


def elsewhere(payment: Payment) -> Elsewhere | None:
    """Return how a payment is paid on another rail, or None for one in bitcoin."""
    if payment.rail == Rail.BITCOIN or payment.amount_minor is None:
        return None
    if payment.rail == Rail.VOUCHER:
        sent = None if payment.sent_at is None else f"disbursement:{payment.disbursement_id}"
        redeemed = Voucher.objects.filter(payment=payment, redeemed_by__isnull=False).first()
        settled = None if redeemed is None else f"voucher:{redeemed.pk}"
        return Elsewhere(payment.rail, payment.amount_minor, sent, settled)
    line = BankFileLine.objects.filter(settles=rail_files.SETTLES, settles_id=payment.pk).first()
    sent = None if line is None else f"bankfile:{line.bank_file_id}"
    settled = None if line is None or payment.settled_at is None else f"bankreport:{line.report_id}"
    return Elsewhere(payment.rail, payment.amount_minor, sent, settled)


def leg(payment_id: int) -> tuple[str, str | None] | None:
    """Return the sources of the entries by which a trust owes a person for a payment, and has paid; None where none does."""
    owed = (LegStatus.OWED, LegStatus.INSTRUCTED, LegStatus.PAID)
    found = TrustLeg.objects.filter(payment=payment_id, status__in=owed).select_related("payment").first()
    if found is None:
        return None
    source = f"disbursement:{found.payment.disbursement_id}"
    if found.status != LegStatus.PAID:
        return source, None
    line = BankFileLine.objects.get(settles=f"trust_leg:{found.attempt}", settles_id=found.pk)
    return source, f"bankreport:{line.report_id}"
