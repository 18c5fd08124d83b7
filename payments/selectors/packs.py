"""What payments testify to packs and receipts: lists with their approvals, txs with their places in blocks, headers."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from django.db.models import F, Prefetch, Q, QuerySet

from govpay.errors import NotFound
from ledger.models import Checkpoint
from ledger.packs import record
from ledger.packs.evidence import Anchor, File, Output
from payments.models import (
    Block,
    ChangeOutput,
    Disbursement,
    InclusionProof,
    ManifestSignature,
    Payment,
    Payout,
    PayoutTx,
)
from payments.onchain import network
from payments.payout import proofs
from payments.services import anchors, manifest
from payments.states import PayoutStatus

FETCH = 2_000
# A payout's versions may have some hundred kilobytes.
PAYOUTS_AT_ONCE = 20
SOURCE = re.compile(r"(disbursement|payout|payment):([1-9][0-9]{0,17})")
# So many headers above the last block that is needed show that work was added to it.
ABOVE = 100
RECEIPT_HEADERS = 12


def backend() -> "PackEvidence":
    """Return the witness that ``settings.LEDGER_PACK_EVIDENCE`` names."""
    return PackEvidence()


class PackEvidence:
    """Implements ``ledger.packs.evidence.Backend`` with the tables of payments."""

    def __init__(self) -> None:
        self.heights: set[int] = set()
        self.known: dict[int, bytes] = {}

    def network(self) -> str:
        """Return the network of the settings."""
        return network.current().value

    def sources(self, disbursement_id: int) -> list[str]:
        """Return the list itself, its payouts and those that pay for them, and payments that were withdrawn alone."""
        if not Disbursement.objects.filter(pk=disbursement_id).exists():
            raise NotFound(f"There is no list {disbursement_id}.")
        of_list = Q(disbursement=disbursement_id) | Q(parent__disbursement=disbursement_id)
        payouts = Payout.objects.filter(of_list).order_by("pk").values_list("pk", flat=True)
        alone = Payment.objects.filter(disbursement=disbursement_id, payout=None).order_by("pk")
        return [
            f"disbursement:{disbursement_id}",
            *(f"payout:{pk}" for pk in payouts),
            *(f"payment:{pk}" for pk in alone.values_list("pk", flat=True)),
        ]

    def files(self, sources: Iterator[str]) -> Iterator[File]:
        """Yield the manifests and approvals of the lists, what became of their payments, and the payouts with their txs."""
        named: dict[str, set[int]] = {"disbursement": set(), "payout": set(), "payment": set()}
        for source in sources:
            if match := SOURCE.fullmatch(source):
                named[match[1]].add(int(match[2]))
        lists = named["disbursement"]
        for path, ids in (("payouts", named["payout"]), ("payments", named["payment"])):
            for some in _batches(ids):
                rows = Disbursement.objects.filter(**{f"{path}__in": some})
                lists |= set(rows.values_list("pk", flat=True))
        approved = Disbursement.objects.filter(pk__in=lists, approved_by__isnull=False).order_by("pk")
        people = approved.select_related("program", "cycle", "made_by", "approved_by", "released_by")
        for disbursement in people.iterator(chunk_size=FETCH):
            folder = f"lists/{disbursement.pk}"
            yield File(f"{folder}/list.json", [_list(disbursement)])
            yield File(f"{folder}/manifest.txt", manifest.text(disbursement))
        shown = set(approved.values_list("pk", flat=True))
        payments = Payment.objects.filter(disbursement__in=shown)
        yield File("payments.jsonl", _payments(payments))
        payouts = Payout.objects.filter(Q(disbursement__in=shown) | Q(pk__in=named["payout"]))
        payouts = payouts.exclude(status=PayoutStatus.UNSEALED).distinct()
        yield File("payouts.jsonl", self._payouts(payouts))

    def headers(self, heights: Iterable[int]) -> Iterator[File]:
        """Yield the headers from the lowest to the highest block that is needed, and some above it."""
        needed = self.heights | set(heights)
        if needed:
            yield File("headers.jsonl", self._headers(needed))

    def anchor(self, checkpoint: Checkpoint) -> Anchor | None:
        """Return where a final block holds a checkpoint's hash, or None."""
        found = anchors.proved(checkpoint)
        if found is None:
            return None
        self.known[found.beside["block_height"]] = bytes.fromhex(found.beside["header"])
        return Anchor(found.ots, found.beside)

    def output(self, payment_id: int) -> Output | None:
        """Return where a final block pays a payment, or None until one does; raise NotFound."""
        payment = Payment.objects.filter(pk=payment_id).select_related("payout").first()
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
        )

    def _payouts(self, payouts: QuerySet[Payout]) -> Iterator[bytes]:
        versions = PayoutTx.objects.filter(raw__isnull=False).order_by("pk")
        change = ChangeOutput.objects.order_by("vout")
        rows = payouts.order_by("pk").select_related("checkpoint__seal")
        rows = rows.prefetch_related(
            Prefetch("txs", versions.prefetch_related(Prefetch("change", change))), "inclusion_proofs"
        )
        for payout in rows.iterator(chunk_size=PAYOUTS_AT_ONCE):
            found = [p for p in payout.inclusion_proofs.all() if p.block_hash == payout.mined_block_hash]
            proof = found[0] if found and payout.status in proofs.FINAL else None
            if proof is not None:
                self.heights.add(proof.block_height)
                self.known[proof.block_height] = bytes(proof.header)
            yield _payout(payout, proof)

    def _headers(self, needed: set[int]) -> Iterator[bytes]:
        rows = Block.objects.filter(
            is_active=True, height__gte=min(needed), height__lte=max(needed) + ABOVE
        ).order_by("height")
        for height, header in rows.values_list("height", "header").iterator(chunk_size=FETCH):
            raw = self.known.get(height) if header is None else bytes(header)
            if raw is not None:
                yield record.line({"header": raw.hex(), "height": height})


def _list(row: Disbursement) -> bytes:
    signatures = ManifestSignature.objects.filter(disbursement=row).select_related("key__user").order_by("pk")
    approver, releaser = row.approved_by, row.released_by
    return record.line(
        {
            "approved_at": _moment(row.approved_at),
            "approved_by": None if approver is None else approver.get_username(),
            "fee_ceiling_sat": str(row.fee_reserved_sat or 0),
            "list": str(row.pk),
            "made_at": _moment(row.made_at),
            "made_by": row.made_by.get_username(),
            "manifest_sha256": bytes(row.manifest_hash or b"").hex(),
            "network": row.program.network,
            "period": row.cycle.period,
            "program": row.program.code,
            "purpose": row.cycle.purpose,
            "released_at": _moment(row.released_at),
            "released_by": None if releaser is None else releaser.get_username(),
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
        }
    )


def _payments(payments: QuerySet[Payment]) -> Iterator[bytes]:
    rows = payments.order_by(F("payout").asc(nulls_last=True), "vout", "pk")
    columns = ("disbursement_id", "pk", "payout_id", "vout", "status")
    for list_id, pk, payout_id, vout, status in rows.values_list(*columns).iterator(chunk_size=FETCH):
        yield record.line(
            {
                "list": str(list_id),
                "payment": str(pk),
                "payout": None if payout_id is None else str(payout_id),
                "status": status,
                "vout": vout,
            }
        )


def _payout(payout: Payout, proof: InclusionProof | None) -> bytes:
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
                        [change.vout, bytes(change.script_pubkey).hex(), str(change.amount_sat)]
                        for change in version.change.all()
                    ],
                    "fee_sat": str(version.fee_sat),
                    "kind": version.kind,
                    "raw": bytes(version.raw or b"").hex(),
                }
                for version in payout.txs.all()
            ],
        }
    )


def _batches(ids: set[int]) -> Iterator[list[int]]:
    ordered = sorted(ids)
    for start in range(0, len(ordered), FETCH):
        yield ordered[start : start + FETCH]


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
