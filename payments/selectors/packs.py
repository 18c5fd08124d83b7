"""What payments testify to packs and receipts: lists with their approvals, txs with their places in blocks, headers."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from operator import attrgetter, itemgetter
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Cast, Coalesce, Concat

from govpay.errors import Conflict, NotFound
from ledger.models import Checkpoint, Entry
from ledger.packs import record
from ledger.packs.beside import Beside
from ledger.packs.evidence import Anchor, File, Numbers, Output, Place
from payments.models import (
    Block,
    ChangeOutput,
    Disbursement,
    InclusionProof,
    ManifestSignature,
    Payment,
    Payout,
    PayoutTx,
    Quote,
    Rail,
)
from payments.onchain import address, network
from payments.payout import manifest, proofs
from payments.prices import currency
from payments.services import anchors
from payments.states import PayoutStatus

FETCH = 2_000
# A version may have some hundred kilobytes.
PAYOUTS_AT_ONCE = 20
# So many headers above the last block that is needed show that work was added to it.
ABOVE = 100
RECEIPT_HEADERS = 12


def backend() -> "PackEvidence":
    """Return the witness that ``settings.LEDGER_PACK_EVIDENCE`` names."""
    return PackEvidence()


class PackNotCovered(Conflict):
    """A list of what is asked for is not paid in bitcoin: a pack would prove less than it seems to."""

    code = "pack_not_covered"


class PackEvidence:
    """Implements ``ledger.packs.evidence.Backend`` with the tables of payments."""

    def __init__(self) -> None:
        # The lowest and the highest block that a file names.
        self.heights: tuple[int, int] | None = None

    def network(self) -> str:
        """Return the network of the settings."""
        return network.current().value

    def address(self, script: bytes) -> str | None:
        """Return the address on the network of the settings."""
        try:
            return address.address_from_script(script, network.current())
        except address.InvalidAddress:
            return None

    def sources(self, disbursement_id: int) -> list[str]:
        """Return the list itself, its payouts and those that pay for them, and payments that were withdrawn alone.

        A payout has some hundred payments, so that all of these are few.
        """
        if not Disbursement.objects.filter(pk=disbursement_id).exists():
            raise NotFound(f"There is no list {disbursement_id}.")
        _require_bitcoin(Disbursement.objects.filter(pk=disbursement_id))
        of_list = Q(disbursement=disbursement_id) | Q(parent__disbursement=disbursement_id)
        payouts = Payout.objects.filter(of_list).order_by("pk").values_list("pk", flat=True)
        booked = Entry.objects.filter(source_ref=Concat(Value("payment:"), Cast(OuterRef("pk"), TextField())))
        alone = Payment.objects.filter(Exists(booked), disbursement=disbursement_id).order_by("pk")
        return [
            f"disbursement:{disbursement_id}",
            *(f"payout:{pk}" for pk in payouts.iterator(chunk_size=FETCH)),
            *(f"payment:{pk}" for pk in alone.values_list("pk", flat=True).iterator(chunk_size=FETCH)),
        ]

    def anchors(self) -> Iterator[Anchor]:
        """Yield where final blocks hold checkpoints' hashes, by size."""
        for found in anchors.all_proved():
            self._need(found.beside["block_height"])
            yield Anchor(found.size, found.ots, found.beside)

    def files(self, numbers: Numbers) -> Iterator[File]:
        """Yield the manifests and approvals of the lists, what became of their payments, the payouts with their txs, and
        the headers.
        """
        payouts = Payout.objects.filter(pk__in=numbers("payout"))
        payments = Payment.objects.filter(pk__in=numbers("payment"))
        lists = Disbursement.objects.filter(
            Q(pk__in=numbers("disbursement"))
            | Q(pk__in=payouts.values("disbursement"))
            | Q(pk__in=payments.values("disbursement")),
            approved_by__isnull=False,
        )
        _require_bitcoin(lists)
        yield from _lists(lists)
        yield File("payments.jsonl", _payments(Payment.objects.filter(disbursement__in=lists.values("pk"))))
        shown = Payout.objects.filter(Q(disbursement__in=lists.values("pk")) | Q(pk__in=numbers("payout")))
        yield File("payouts.jsonl", self._payouts(shown.exclude(status=PayoutStatus.UNSEALED)))
        if self.heights is not None:
            yield File("headers.jsonl", _headers(*self.heights))

    def anchor(self, checkpoint: Checkpoint) -> Anchor | None:
        """Return where a final block holds a checkpoint's hash, or None."""
        found = anchors.proved(checkpoint)
        return None if found is None else Anchor(found.size, found.ots, found.beside)

    def anchored(self, checkpoint_ids: list[int]) -> dict[int, Place]:
        """Return where final blocks hold checkpoints' hashes, by checkpoint; one statement."""
        return anchors.places(checkpoint_ids)

    def output(self, payment_id: int) -> Output | None:
        """Return where a final block pays a payment, or None until one does; raise NotFound."""
        payment = (
            Payment.objects.filter(pk=payment_id).select_related("payout", "disbursement__quote").first()
        )
        if payment is None:
            raise NotFound(f"There is no payment {payment_id}.")
        payout = payment.payout
        proof = None if payout is None else proofs.of(payout)
        if payout is None or proof is None or payout.status != PayoutStatus.SETTLED:
            return None
        version = PayoutTx.objects.get(payout=payout, txid=proof.txid)
        blocks = Block.objects.filter(is_active=True, header__isnull=False, height__gt=proof.block_height)
        above = blocks.order_by("height").values_list("height", "header")[: RECEIPT_HEADERS - 1]
        headers = [bytes(proof.header)]
        for number, (height, header) in enumerate(above, start=1):
            if height != proof.block_height + number:
                break
            headers.append(bytes(header or b""))
        assert payment.vout is not None
        return Output(
            payout_id=payout.pk,
            amount_sat=payment.amount_sat,
            script_pubkey=bytes(payment.script_pubkey or b""),
            vout=payment.vout,
            tx=bytes(version.unsigned_tx),
            branch=bytes(proof.branch),
            headers=headers,
            block_height=proof.block_height,
            entitlement=_entitlement(payment),
        )

    def _payouts(self, payouts: QuerySet[Payout]) -> Iterator[bytes]:
        ids = payouts.values("pk")
        rows = payouts.order_by("pk").select_related("checkpoint__seal")
        signed = PayoutTx.objects.filter(payout__in=ids, raw__isnull=False).order_by("payout", "pk")
        # In the order of the versions that they belong to.
        change = ChangeOutput.objects.filter(version__payout__in=ids, version__raw__isnull=False)
        change = change.order_by("version__payout", "version", "vout").annotate(
            payout_id=F("version__payout")
        )
        placed = proofs.final().filter(payout__in=ids).order_by("payout")
        versions = Beside(signed.iterator(chunk_size=PAYOUTS_AT_ONCE), attrgetter("payout_id"))
        outputs = Beside(change.iterator(chunk_size=FETCH), attrgetter("payout_id"))
        places = Beside(placed.iterator(chunk_size=FETCH), attrgetter("payout_id"))
        for payout in rows.iterator(chunk_size=FETCH):
            proof = next(places.of(payout.pk), None)
            if proof is not None:
                self._need(proof.block_height)
            yield _payout(payout, list(versions.of(payout.pk)), list(outputs.of(payout.pk)), proof)

    def _need(self, height: int) -> None:
        lowest, highest = self.heights or (height, height)
        self.heights = (min(lowest, height), max(highest, height))


def _headers(lowest: int, highest: int) -> Iterator[bytes]:
    """Yield the headers of a stretch of the chain and some above it; of old blocks those that proofs kept."""
    kept = InclusionProof.objects.filter(block_hash=OuterRef("block_hash")).values("header")[:1]
    rows = Block.objects.filter(is_active=True, height__gte=lowest, height__lte=highest + ABOVE)
    rows = rows.annotate(known=Coalesce("header", Subquery(kept))).filter(known__isnull=False)
    for height, header in rows.order_by("height").values_list("height", "known").iterator(chunk_size=FETCH):
        yield record.line({"header": bytes(header).hex(), "height": height})


def _require_bitcoin(lists: QuerySet[Disbursement]) -> None:
    """Raise PackNotCovered where a list is paid on another rail: its lines are settled by words of a bank, not by a tx."""
    other = lists.exclude(rail=Rail.BITCOIN).order_by("pk").first()
    if other is not None:
        raise PackNotCovered(
            f"List {other.pk} is paid by {other.rail}. An evidence pack proves what blocks hold; of other rails the bank's "
            "files and reports, their hashes in the books and the audit events are the evidence.",
            disbursement_id=other.pk,
            rail=other.rail,
        )


def _lists(lists: QuerySet[Disbursement]) -> Iterator[File]:
    """Yield two files a list; signatures and payments are read beside them, so that no list asks for its own."""
    ids = lists.values("pk")
    signed = ManifestSignature.objects.filter(disbursement__in=ids).select_related("key__user")
    signatures = Beside(
        signed.order_by("disbursement", "pk").iterator(chunk_size=FETCH), attrgetter("disbursement_id")
    )
    paid = Payment.objects.filter(disbursement__in=ids).order_by("disbursement", "pk")
    columns = paid.values_list("disbursement_id", *manifest.COLUMNS)
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
            "approved_at": _moment(row.approved_at),
            "approved_by": row.approver,
            "fee_ceiling_sat": str(row.fee_reserved_sat or 0),
            "list": str(row.pk),
            "made_at": _moment(row.made_at),
            "made_by": row.maker,
            "manifest_sha256": bytes(row.manifest_hash or b"").hex(),
            "network": row.program.network,
            "period": row.cycle.period,
            "program": row.program.code,
            "purpose": row.cycle.purpose,
            "released_at": _moment(row.released_at),
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
        }
    )


def _money(row: Disbursement) -> dict[str, Any]:
    """Return what a list of money says besides: its currency, and by what it was converted; nothing of satoshis."""
    if row.program.pays_sat:
        return {}
    return {"currency": row.program.currency, "quote": None if row.quote is None else _quote(row.quote)}


def _quote(quote: Quote) -> dict[str, Any]:
    return {
        "currency": quote.currency,
        "expires_at": _moment(quote.expires_at),
        "id": str(quote.pk),
        "price": f"{quote.price:.8f}",
        "scale": currency.scale(quote.currency),
        "sources": [[value["name"], value["value"], value["is_used"]] for value in quote.values],
        "taken_at": _moment(quote.taken_at),
    }


def _entitlement(payment: Payment) -> dict[str, Any] | None:
    quote = payment.disbursement.quote
    if quote is None:
        return None
    return {
        "amount_minor": str(payment.amount_minor),
        "quote": _quote(quote),
        "remainder_minor": str(payment.remainder_minor),
    }


def _payments(payments: QuerySet[Payment]) -> Iterator[bytes]:
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


def _payout(
    payout: Payout, versions: list[PayoutTx], change: list[ChangeOutput], proof: InclusionProof | None
) -> bytes:
    mined = None
    if proof is not None:
        mined = {
            "block_hash": proof.block_hash,
            "block_height": proof.block_height,
            "branch": bytes(proof.branch).hex(),
            "txid": proof.txid,
        }
    return record.line(
        {
            "checkpoint": str(payout.checkpoint.seal.size) if payout.checkpoint else None,
            "fee_sat": str(payout.booked_fee_sat),
            "kind": payout.kind,
            "list": None if payout.disbursement_id is None else str(payout.disbursement_id),
            "mined": mined,
            "payout": str(payout.pk),
            "spends": f"{payout.anchor_txid}:{payout.anchor_vout}",
            "status": payout.status,
            "versions": [
                {
                    "change": [
                        [output.vout, bytes(output.script_pubkey).hex(), str(output.amount_sat)]
                        for output in change
                        if output.version_id == version.pk
                    ],
                    "fee_sat": str(version.fee_sat),
                    "kind": version.kind,
                    "raw": bytes(version.raw or b"").hex(),
                }
                for version in versions
            ],
        }
    )


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
