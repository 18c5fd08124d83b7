"""Takes a tx of ours, found on the chain, into a database that lost it: as a version of a payout, or as a whole payout."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.utils import timezone

from ledger import books
from ledger.models import Checkpoint
from payments.models import (
    ChangeOutput,
    Coin,
    Payment,
    Payout,
    PayoutKind,
    PayoutTx,
    PayoutTxKind,
    Reservation,
    Wallet,
    history,
)
from payments.models.history import move
from payments.onchain import tx
from payments.payout import agreed, anchor, booking, plan, seal, versions
from payments.states import DisbursementStatus, PaymentStatus, PayoutStatus

REASON = "the chain held a tx of it that the database had lost"


class Found(NamedTuple):
    """A tx that spends our coins: its inputs from the chain, which outputs are ours, and its block if it has one."""

    spend: tx.Tx
    inputs: tuple[versions.Input, ...]
    own_vouts: frozenset[int]
    block_hash: str | None = None
    block_height: int | None = None

    @property
    def paid(self) -> list[tuple[int, tx.Output]]:
        """The outputs that are not ours, each with its place."""
        return [(vout, out) for vout, out in enumerate(self.spend.outputs) if vout not in self.own_vouts]


@transaction.atomic
def adopt(wallet: Wallet, found: Found) -> bool:
    """Book the tx as what it is, and tell whether it could be explained; nothing is changed when it could not.

    It is explained when it is a version of a payout that is known, when each of its outputs that is not ours pays a
    released payment which nothing else pays, script and satoshis alike (equal ones are taken one by one), or when all
    of its outputs are ours.
    """
    Wallet.objects.lock().get(pk=wallet.pk)
    # Any of them may have to make room; a payout's row comes before the rows of its payments.
    list(Payout.objects.filter(wallet=wallet, status=PayoutStatus.SEALED).order_by("pk").select_for_update())
    if PayoutTx.objects.filter(txid=found.spend.txid, raw__isnull=False).exists():
        _commit_sealed(found)
        return True
    known = (
        PayoutTx.objects.filter(txid=found.spend.txid).exclude(payout__status=PayoutStatus.UNSEALED).first()
    )
    if known is not None:
        _commit_sealed(found)
        payout = Payout.objects.select_related("wallet", "disbursement").get(pk=known.payout_id)
        _keep(payout, known, found)
        return True
    if len(found.inputs) != len(found.spend.inputs):
        return False
    spent = _spent_by(found)
    if spent is not None:
        return _add_version(spent, found)
    return _add_payout(wallet, found)


def _commit_sealed(found: Found) -> None:
    """What a signer has signed is past the commit point, whatever an older database says."""
    sealed = Payout.objects.filter(txs__txid=found.spend.txid, status=PayoutStatus.SEALED)
    for pk in sealed.values_list("pk", flat=True):
        move(
            Payout.objects.filter(pk=pk),
            old=PayoutStatus.SEALED,
            new=PayoutStatus.COMMITTED,
            note=f"Found on the chain: {found.spend.txid}",
        )


def _spent_by(found: Found) -> Payout | None:
    """Return the payout past its commit point whose coins the tx spends."""
    past = [PayoutStatus.SEALED, PayoutStatus.UNSEALED]
    for spent in found.inputs:
        rows = Reservation.objects.filter(txid=spent.outpoint.txid, vout=spent.outpoint.vout)
        pk = rows.exclude(payout__status__in=past).values_list("payout_id", flat=True).first()
        if pk is not None:
            return Payout.objects.select_related("wallet", "disbursement", "current").get(pk=pk)
    return None


def _add_version(payout: Payout, found: Found) -> bool:
    """Add a fee bump or a void that the database lost."""
    rows: Any = Payment.objects.filter(payout=payout).order_by("vout")
    lines = list(rows.values_list("vout", "script_pubkey", "amount_sat"))
    expected = [(vout, tx.Output(amount_sat, bytes(script or b""))) for vout, script, amount_sat in lines]
    if payout.checkpoint is not None:
        expected = [(0, tx.Output(0, anchor.script_of(payout.checkpoint)))]
    spent = {each.outpoint for each in found.inputs}
    reserved = Reservation.objects.filter(payout=payout, is_original=True).order_by("position")
    original = [tx.OutPoint(txid, vout) for txid, vout in reserved.values_list("txid", "vout")]
    if expected and found.paid == expected and spent.issuperset(original):
        kind = PayoutTxKind.BUMP
    elif not found.paid and original[0] in spent:
        kind = PayoutTxKind.VOID if expected else PayoutTxKind.BUMP
    else:
        return False
    held = set(Reservation.objects.filter(payout=payout).values_list("txid", "vout"))
    added = [each for each in found.inputs if tuple(each.outpoint) not in held]
    if not _free(found, [each.outpoint for each in added]):
        return False
    last = Reservation.objects.filter(payout=payout).count()
    version = _write_version(payout, kind, found)
    if added:
        versions.reserve(payout, added, first_position=last)
    _keep(payout, version, found)
    return True


def _add_payout(wallet: Wallet, found: Found) -> bool:
    """Make a payout of a tx whose payments are released and unpaid, that anchors a checkpoint, or moves our own coins."""
    checkpoint = _anchored(found)
    lines = [] if checkpoint is not None else _match(wallet, found)
    if lines is None or not _free(found, [each.outpoint for each in found.inputs], lines):
        return False
    kind = (
        PayoutKind.PAYMENTS
        if lines
        else PayoutKind.CONSOLIDATION
        if checkpoint is None
        else PayoutKind.ANCHOR
    )
    payout = Payout.objects.create(
        kind=kind,
        checkpoint=checkpoint,
        disbursement_id=lines[0].disbursement_id if lines else None,
        wallet=wallet,
        payment_count=len(lines),
        payments_sat=sum(line.amount_sat for line in lines),
        payments_minor=sum(line.amount_minor or 0 for line in lines) if _is_money(lines) else None,
        manifest_hash=seal.manifest_hash(
            tuple(plan.Line(line.pk, bytes(line.script_pubkey or b""), line.amount_sat) for line in lines)
        ),
        anchor_txid=found.inputs[0].outpoint.txid,
        anchor_vout=found.inputs[0].outpoint.vout,
    )
    history.begin(payout, reason=REASON)
    move(
        Payout.objects.filter(pk=payout.pk),
        old=PayoutStatus.SEALED,
        new=PayoutStatus.COMMITTED,
        note=found.spend.txid,
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payments_payment p SET payout_id = %s, vout = g.vout, amount_sat = g.sat, remainder_minor = g.rest"
            " FROM unnest(%s::bigint[], %s::int[], %s::bigint[], %s::bigint[]) AS g(id, vout, sat, rest)"
            " WHERE p.id = g.id",
            [
                payout.pk,
                [line.pk for line in lines],
                [vout for vout, _ in found.paid[: len(lines)]],
                [line.amount_sat for line in lines],
                [line.remainder_minor for line in lines],
            ],
        )
    versions.reserve(payout, list(found.inputs))
    payout.refresh_from_db()
    version = _write_version(payout, PayoutTxKind.ORIGINAL, found)
    _keep(Payout.objects.select_related("wallet", "disbursement").get(pk=payout.pk), version, found)
    return True


def _is_money(lines: Sequence[Payment]) -> bool:
    return bool(lines) and lines[0].amount_minor is not None


def _anchored(found: Found) -> Checkpoint | None:
    """Return the checkpoint that the tx's one output besides change commits to, if the database knows it still."""
    if len(found.paid) != 1 or found.paid[0][1].amount_sat:
        return None
    ((_, output),) = found.paid
    unanchored = Checkpoint.objects.exclude(anchors__status__in=set(PayoutStatus) - {PayoutStatus.UNSEALED})
    for checkpoint in unanchored.order_by("-pk"):
        if anchor.script_of(checkpoint) == output.script_pubkey:
            return checkpoint
    return None


def _match(wallet: Wallet, found: Found) -> list[Payment] | None:
    """Return a payment for each output that is not ours, all of one released list, in order; None if that cannot be."""
    if not found.paid:
        return []
    wanted = Counter(output for _, output in found.paid)
    lists: dict[int, dict[tx.Output, list[Payment]]] = defaultdict(lambda: defaultdict(list))
    rows = Payment.objects.select_for_update(of=("self",)).filter(
        disbursement__program_id=wallet.program_id,
        disbursement__status=DisbursementStatus.RELEASED,
        status=PaymentStatus.PENDING,
        script_pubkey__in=[output.script_pubkey for output in wanted],
    )
    for payment in rows.select_related("payout", "disbursement__quote").order_by("pk"):
        if payment.payout is None or payment.payout.status == PayoutStatus.SEALED:
            # Of money the database that was restored may not have the satoshis yet: they follow from the list's quote.
            money = agreed.converted(payment, payment.disbursement.quote)
            if money is not None:
                payment.amount_sat, payment.remainder_minor = money.amount_sat, money.remainder_minor
            output = tx.Output(payment.amount_sat, bytes(payment.script_pubkey or b""))
            lists[payment.disbursement_id][output].append(payment)
    for pk in sorted(lists):
        if all(len(lists[pk][output]) >= count for output, count in wanted.items()):
            return [lists[pk][output].pop(0) for _, output in found.paid]
    return None


def _free(found: Found, outpoints: Sequence[tx.OutPoint], lines: Sequence[Payment] = ()) -> bool:
    """Unseal whatever sealed payout claims these coins or payments; tell whether nothing else reserves the coins."""
    stale = {line.payout_id for line in lines if line.payout_id is not None}
    for outpoint in outpoints:
        held = Reservation.objects.filter(
            txid=outpoint.txid, vout=outpoint.vout, is_live=True
        ).select_related("payout")
        for row in held:
            if row.payout.status != PayoutStatus.SEALED:
                return False
            stale.add(row.payout_id)
    for pk in sorted(stale):
        note = f"The chain holds {found.spend.txid} instead."
        move(Payout.objects.filter(pk=pk), old=PayoutStatus.SEALED, new=PayoutStatus.UNSEALED, note=note)
        Reservation.objects.filter(payout_id=pk).update(is_live=False)
        Payment.objects.filter(payout_id=pk).update(payout=None, vout=None)
    return True


def _write_version(payout: Payout, kind: str, found: Found) -> PayoutTx:
    fee_sat = sum(each.output.amount_sat for each in found.inputs)
    fee_sat -= sum(output.amount_sat for output in found.spend.outputs)
    before = payout.current
    version = PayoutTx.objects.create(
        payout=payout,
        kind=kind,
        txid=found.spend.txid,
        unsigned_tx=tx.stripped(found.spend.raw),
        fee_sat=fee_sat,
        fee_added_sat=fee_sat - (before.fee_sat if before else 0),
        change_sat=sum(found.spend.outputs[vout].amount_sat for vout in found.own_vouts),
        vsize_vb=found.spend.vsize,
        feerate_sat_kvb=fee_sat * 1000 // found.spend.vsize,
    )
    ChangeOutput.objects.bulk_create(
        ChangeOutput(
            version=version,
            vout=vout,
            amount_sat=found.spend.outputs[vout].amount_sat,
            script_pubkey=found.spend.outputs[vout].script_pubkey,
        )
        for vout in sorted(found.own_vouts)
    )
    Payout.objects.filter(pk=payout.pk).update(current=version)
    return version


def _keep(payout: Payout, version: PayoutTx, found: Found) -> None:
    """Store the bytes and the place in the chain, and book what the follower took for a deposit or a stranger's."""
    if found.block_hash is not None:
        payout.mined_txid, payout.mined_block_hash = found.spend.txid, found.block_hash
        payout.mined_height = found.block_height
        payout.save(update_fields=["mined_txid", "mined_block_hash", "mined_height"])
    booking.keep_signed(payout, version, found.spend.raw, weight=found.spend.weight)
    if payout.status == PayoutStatus.COMMITTED:
        move(
            Payout.objects.filter(pk=payout.pk),
            old=PayoutStatus.COMMITTED,
            new=PayoutStatus.SIGNED,
            note=found.spend.txid,
            problem="",
            due_at=None,
        )
    for coin in Coin.objects.filter(txid=found.spend.txid, funding_entry_id__isnull=False):
        assert coin.funding_entry_id is not None
        books.reverse(
            coin.funding_entry_id,
            idempotency_key=f"funding-reversed:{coin.funding_entry_id}",
            effective_at=timezone.now(),
            memo=f"Not a deposit: change of {found.spend.txid}, which the database had lost.",
            actor="engine",
        )
        Coin.objects.filter(pk=coin.pk).update(funding_entry_id=None)
