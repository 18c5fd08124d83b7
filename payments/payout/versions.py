"""Versions: writes a new tx of a payout, unsigned, and reads the versions and inputs that there are."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from payments import doorbell
from payments.models import ChangeOutput, Payout, PayoutTx, PayoutTxKind, Reservation, history
from payments.onchain import fee, node, tx
from payments.payout import failpoint, rbf
from payments.payout.selection import FreeCoin


class Input(NamedTuple):
    """An outpoint that a version spends, and the output behind it."""

    outpoint: tx.OutPoint
    output: tx.Output


class Draft(NamedTuple):
    """A version to be written: all it spends, whom it pays, what comes back, and the weight it has once signed."""

    kind: str
    inputs: Sequence[tx.OutPoint]
    payments: Sequence[tx.Output]
    change: Sequence[tx.Output]
    fee_sat: int
    weight: int


def add(payout: Payout, draft: Draft) -> PayoutTx:
    """Make the draft the payout's current version, to be signed next. Call it inside a database transaction.

    The caller has reserved all inputs, and holds the payout's row.
    """
    unsigned = tx.build_unsigned(draft.inputs, [*draft.payments, *draft.change])
    before = payout.current
    vsize_vb = fee.vsize(draft.weight)
    version = PayoutTx.objects.create(
        payout=payout,
        kind=draft.kind,
        txid=tx.double_sha256(unsigned)[::-1].hex(),
        unsigned_tx=unsigned,
        fee_sat=draft.fee_sat,
        fee_added_sat=draft.fee_sat - (before.fee_sat if before else 0),
        change_sat=sum(output.amount_sat for output in draft.change),
        vsize_vb=vsize_vb,
        feerate_sat_kvb=draft.fee_sat * 1000 // vsize_vb,
    )
    ChangeOutput.objects.bulk_create(
        ChangeOutput(
            version=version, vout=vout, amount_sat=output.amount_sat, script_pubkey=output.script_pubkey
        )
        for vout, output in enumerate(draft.change, len(draft.payments))
    )
    payout.current = version
    Payout.objects.filter(pk=payout.pk).update(current=version)
    return version


def begin(payout: Payout, inputs: Sequence[Input], draft: Draft, *, reason: str) -> None:
    """Write a new payout with its history, its reservations and its first version. Call it inside a database transaction.

    The database refuses coins that are reserved already (I9).
    """
    payout.save(force_insert=True)
    history.begin(payout, reason=reason)
    reserve(payout, inputs)
    failpoint.hit("K6")
    add(payout, draft)
    doorbell.ring("advance", payout_id=payout.pk)


def inputs_from(chosen: Sequence[FreeCoin]) -> list[Input]:
    """Return chosen coins as inputs, in their order."""
    return [Input(coin.outpoint, tx.Output(coin.amount_sat, coin.script_pubkey)) for coin in chosen]


def reserved(payout_id: int) -> dict[tx.OutPoint, tx.Output]:
    """Return the coins that a payout's versions spend, by outpoint, in the order in which they were reserved."""
    rows = Reservation.objects.filter(payout_id=payout_id).order_by("position")
    return {
        tx.OutPoint(txid, vout): tx.Output(amount_sat, bytes(script))
        for txid, vout, amount_sat, script in rows.values_list("txid", "vout", "amount_sat", "script_pubkey")
    }


def inputs_of(version: PayoutTx, coins: Mapping[tx.OutPoint, tx.Output] | None = None) -> list[Input]:
    """Return what a version spends, in the order of its inputs, of ``coins`` that were ``reserved`` if they are known."""
    coins = reserved(version.payout_id) if coins is None else coins
    return [Input(outpoint, coins[outpoint]) for outpoint in tx.inputs_of(bytes(version.unsigned_tx))]


def old_of(version: PayoutTx) -> rbf.Old:
    """Read what a replacement keeps of a version from its own bytes: no query a payment."""
    outputs = tx.parse(bytes(version.unsigned_tx)).outputs
    ours = set(version.change.values_list("vout", flat=True))
    spent = inputs_of(version)
    return rbf.Old(
        inputs=tuple(found.outpoint for found in spent),
        inputs_sat=sum(found.output.amount_sat for found in spent),
        payments=tuple(output for vout, output in enumerate(outputs) if vout not in ours),
        change=tuple(outputs[vout] for vout in sorted(ours)),
    )


def standing(payout: Payout, client: node.Node) -> PayoutTx:
    """Return the newest version that pays and can confirm; a reorganization may have taken a coin that a bump added.

    It asks the node of added coins only: call it outside database transactions. The coins of the original are in every
    version, so that it stands for all.
    """
    rows = Reservation.objects.filter(payout=payout, is_original=False).values_list("txid", "vout")
    added = {tx.OutPoint(txid, vout) for txid, vout in rows}
    paying = PayoutTx.objects.filter(payout=payout).exclude(kind=PayoutTxKind.VOID).order_by("-pk")
    for version in paying:
        own = [outpoint for outpoint in tx.inputs_of(bytes(version.unsigned_tx)) if outpoint in added]
        if not own or not _lacks(own, client):
            return version
    raise AssertionError("the original adds nothing to its own coins")


def _lacks(outpoints: Sequence[tx.OutPoint], client: node.Node) -> bool:
    """Say whether the node has one of these coins neither unspent nor spent in its memory pool."""
    found = client.utxos(outpoints, include_mempool=True)
    spent = [outpoint for outpoint, output in zip(outpoints, found, strict=True) if output is None]
    return any(client.mempool_spender([outpoint]) is None for outpoint in spent)


def reserve(payout: Payout, inputs: Sequence[Input], *, first_position: int = 0) -> None:
    """Reserve outpoints for the payout; the database refuses one that is reserved already (I9)."""
    Reservation.objects.bulk_create(
        Reservation(
            payout=payout,
            position=position,
            is_original=first_position == 0,
            txid=outpoint.txid,
            vout=outpoint.vout,
            amount_sat=output.amount_sat,
            script_pubkey=output.script_pubkey,
        )
        for position, (outpoint, output) in enumerate(inputs, first_position)
    )
