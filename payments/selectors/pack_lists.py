"""What payments testify to packs of lists: manifests, who agreed to them, and what became of each line."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from operator import attrgetter, itemgetter
from typing import Any

from django.db.models import BinaryField, F, OuterRef, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Cast, Coalesce, Concat

from ledger.models import Entry
from ledger.packs import record
from ledger.packs.beside import Beside
from ledger.packs.evidence import File
from payments.models import Disbursement, ManifestSignature, Payment, Quote, Rail
from payments.payout import manifest
from payments.prices import currency

FETCH = 2_000
# As `manifest.COLUMNS`, of lists on any rail: where a script stands, by bank the account's keyed hash does.
DESTINATION = Coalesce("script_pubkey", "bank_account__iban_hash", output_field=BinaryField())
COLUMNS = tuple(DESTINATION if name == "script_pubkey" else name for name in manifest.COLUMNS)


def files(lists: QuerySet[Disbursement]) -> Iterator[File]:
    """Yield two files a list; signatures and payments are read beside them, so that no list asks for its own."""
    ids = lists.values("pk")
    signed = ManifestSignature.objects.filter(disbursement__in=ids).select_related("key__user")
    signatures = Beside(
        signed.order_by("disbursement", "pk").iterator(chunk_size=FETCH), attrgetter("disbursement_id")
    )
    paid = Payment.objects.filter(disbursement__in=ids).order_by("disbursement", "pk")
    columns = paid.values_list("disbursement_id", *COLUMNS)
    payments = Beside(columns.iterator(chunk_size=FETCH), itemgetter(0))
    people = lists.select_related("program", "cycle", "quote").annotate(
        maker=Coalesce(_booked("encumbrance", "actor"), "made_by__username"),
        approver=Coalesce(_booked("encumbrance", "approver"), "approved_by__username"),
        releaser=Coalesce(_booked("commitment", "actor"), "released_by__username"),
    )
    for disbursement in people.order_by("pk").iterator(chunk_size=FETCH):
        folder = f"lists/{disbursement.pk}"
        yield File(f"{folder}/list.json", [_list(disbursement, signatures.of(disbursement.pk))])
        rows = (row[1:] for row in payments.of(disbursement.pk))
        yield File(f"{folder}/manifest.txt", manifest.text_of(disbursement, rows))


def _booked(kind: str, column: str) -> Subquery:
    """Return a person's name as it was when the books were written; users may have another one by now."""
    of_list = Entry.objects.filter(
        source_ref=Concat(Value("disbursement:"), Cast(OuterRef("pk"), TextField()))
    )
    # Where approval booked at once what is owed, nobody released with that; less of a list is held anew without an approver.
    found = of_list.filter(kind=kind).exclude(approver="").exclude(kind="commitment", reversal_of=None)
    return Subquery(found.order_by("pk").values(column)[:1])


def _list(row: Any, signatures: Iterable[ManifestSignature]) -> bytes:
    return record.line(
        {
            "approved_at": moment(row.approved_at),
            "approved_by": row.approver,
            "fee_ceiling_sat": str(row.fee_reserved_sat or 0),
            "list": str(row.pk),
            "made_at": moment(row.made_at),
            "made_by": row.maker,
            "manifest_sha256": bytes(row.manifest_hash or b"").hex(),
            "network": row.program.network,
            "period": row.cycle.period,
            "program": row.program.code,
            "purpose": row.cycle.purpose,
            "released_at": moment(row.released_at),
            "released_by": row.releaser if row.released_by_id else None,
            "scope": row.program.scope,
            "signatures": [
                {
                    "by": signature.key.user.get_username(),
                    "public_key": bytes(signature.key.public_key).hex(),
                    "signature": bytes(signature.signature).hex(),
                }
                for signature in signatures
            ],
            "status": row.status,
            **_money(row),
            **({} if row.rail == Rail.BITCOIN else {"rail": row.rail}),
        }
    )


def _money(row: Disbursement) -> dict[str, Any]:
    """Return what a list of money says besides: its currency, and by what it was converted; nothing of satoshis."""
    if row.program.pays_sat:
        return {}
    return {"currency": row.program.currency, "quote": None if row.quote is None else quote_of(row.quote)}


def quote_of(quote: Quote) -> dict[str, Any]:
    """Return what a pack or a receipt says of a quote."""
    return {
        "currency": quote.currency,
        "expires_at": moment(quote.expires_at),
        "id": str(quote.pk),
        "price": f"{quote.price:.8f}",
        "scale": currency.scale(quote.currency),
        "sources": [[value["name"], value["value"], value["is_used"]] for value in quote.values],
        "taken_at": moment(quote.taken_at),
    }


def entitlement(payment: Payment) -> dict[str, Any] | None:
    """Return what a payment of money stands for, or None where nothing was converted."""
    quote = payment.disbursement.quote
    if quote is None:
        return None
    return {
        "amount_minor": str(payment.amount_minor),
        "quote": quote_of(quote),
        "remainder_minor": str(payment.remainder_minor),
    }


def payments_of(payments: QuerySet[Payment]) -> Iterator[bytes]:
    """Yield a record for each payment, in the order of payouts and outputs."""
    rows = payments.order_by(F("payout").asc(nulls_last=True), "vout", "pk")
    columns = (
        "disbursement_id",
        "pk",
        "payout_id",
        "vout",
        "status",
        "amount_minor",
        "amount_sat",
        "remainder_minor",
    )
    for list_id, pk, payout_id, vout, status, *money in rows.values_list(*columns).iterator(chunk_size=FETCH):
        minor, sat, rest = (None if amount is None else str(amount) for amount in money)
        yield record.line(
            {
                "list": str(list_id),
                "payment": str(pk),
                "payout": None if payout_id is None else str(payout_id),
                "status": status,
                "vout": vout,
                **({} if minor is None else {"amount_sat": sat, "remainder_minor": rest}),
            }
        )


def moment(at: datetime | None) -> str | None:
    """Return a time as the books write it."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
