"""What payments testify to packs and receipts: lists and how they were paid, txs with their places in blocks, headers."""

from collections.abc import Iterator
from operator import attrgetter

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Cast, Coalesce, Concat

from govpay.errors import NotFound
from ledger.models import Checkpoint, Entry
from ledger.packs import record
from ledger.packs.beside import Beside
from ledger.packs.evidence import Anchor, Elsewhere, File, Numbers, Output, Place
from payments.models import (
    Block,
    ChangeOutput,
    Disbursement,
    InclusionProof,
    Payment,
    Payout,
    PayoutTx,
)
from payments.onchain import address, network
from payments.payout import proofs
from payments.selectors import pack_lists, pack_rails
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
        """Return the list itself, its payouts and those that pay for them, payments that were withdrawn alone, its files,
        answers and vouchers; and all that of the lists whose dead payments it pays anew, so that their death is proved.

        A payout has some hundred payments, so that all of these are few but for vouchers, of which each is one.
        """
        if not Disbursement.objects.filter(pk=disbursement_id).exists():
            raise NotFound(f"There is no list {disbursement_id}.")
        list_ids = _with_predecessors(disbursement_id)
        of_list = Q(disbursement__in=list_ids) | Q(parent__disbursement__in=list_ids)
        payouts = Payout.objects.filter(of_list).order_by("pk").values_list("pk", flat=True)
        booked = Entry.objects.filter(source_ref=Concat(Value("payment:"), Cast(OuterRef("pk"), TextField())))
        alone = Payment.objects.filter(Exists(booked), disbursement__in=list_ids).order_by("pk")
        return [
            *(f"disbursement:{pk}" for pk in list_ids),
            *(f"payout:{pk}" for pk in payouts.iterator(chunk_size=FETCH)),
            *(f"payment:{pk}" for pk in alone.values_list("pk", flat=True).iterator(chunk_size=FETCH)),
            *pack_rails.sources(list_ids),
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
            | Q(pk__in=payments.values("disbursement"))
            | pack_rails.lists_of(numbers),
            approved_by__isnull=False,
        )
        yield from pack_lists.files(lists)
        of_lists = Payment.objects.filter(disbursement__in=lists.values("pk"))
        yield File("payments.jsonl", pack_lists.payments_of(of_lists))
        yield from pack_rails.files(lists)
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
            entitlement=pack_lists.entitlement(payment),
        )

    def elsewhere(self, payment_id: int) -> Elsewhere | None:
        """Return how a payment is paid on another rail, or None for one in bitcoin; raise NotFound."""
        payment = Payment.objects.filter(pk=payment_id).first()
        if payment is None:
            raise NotFound(f"There is no payment {payment_id}.")
        return pack_rails.elsewhere(payment)

    def leg(self, payment_id: int) -> tuple[str, str | None] | None:
        """Return by which entries a trust owes for a payment, and has paid, or None where none does."""
        return pack_rails.leg(payment_id)

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


def _with_predecessors(disbursement_id: int) -> list[int]:
    """Return a list, and those of which it pays dead payments anew, and so on, by number."""
    found = newest = {disbursement_id}
    while newest:
        rows = Payment.objects.filter(disbursement__in=newest, reissue_of__isnull=False).order_by()
        newest = set(rows.values_list("reissue_of__disbursement", flat=True).distinct()) - found
        found = found | newest
    return sorted(found)


def _headers(lowest: int, highest: int) -> Iterator[bytes]:
    """Yield the headers of a stretch of the chain and some above it; of old blocks those that proofs kept."""
    kept = InclusionProof.objects.filter(block_hash=OuterRef("block_hash")).values("header")[:1]
    rows = Block.objects.filter(is_active=True, height__gte=lowest, height__lte=highest + ABOVE)
    rows = rows.annotate(known=Coalesce("header", Subquery(kept))).filter(known__isnull=False)
    for height, header in rows.order_by("height").values_list("height", "known").iterator(chunk_size=FETCH):
        yield record.line({"header": bytes(header).hex(), "height": height})


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
