"""Reads the chain anew from each wallet's birth, for a database that was restored from an older day (F44)."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import structlog
from django.db import transaction
from django.db.models import Max

from ledger import audit
from payments.models import Block, ChainFact, Coin, Payout, PayoutTx, Wallet, WalletScript
from payments.models.chain import ChainFactKind
from payments.models.history import move
from payments.onchain import block, node, tx
from payments.payout import adopt, alarms, claim, derive, guard, versions, wallets
from payments.states import PayoutStatus

log = structlog.get_logger(__name__)

Progress = Callable[[int, int], None]


@dataclass
class Report:
    """What came of it for one wallet: txids that were taken over, that nothing explains, and signings never found."""

    wallet: str
    adopted: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    missing: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether the database knows again of all that was signed."""
        return not self.unexplained and not self.missing


def reimport(client: node.Node, *, progress: Progress) -> list[Report]:
    """Take over every tx that spends our coins and that the database does not know, and say what cannot be explained.

    The follower has read to the node's tip before, and rests meanwhile. A wallet that was halted because its database
    is older than its node goes on by itself when everything was explained; otherwise it stays for two people to look.
    """
    walk = _Walk(client)
    for wallet, found in walk.spends(progress):
        walk.take(wallet, found)
    reports = [_conclude(wallet, walk, client) for wallet in walk.wallets.values()]
    # What follows from the blocks was derived already, without what is known now.
    Block.objects.filter(is_active=True, is_derived=True).update(is_derived=False)
    derive.derive()
    return reports


class _Walk:
    """Follows our coins through blocks and mempool by itself, and learns scripts of ours that the database lost."""

    def __init__(self, client: node.Node) -> None:
        self.client = client
        ready = Wallet.objects.filter(ready_at__isnull=False, birth_height__isnull=False)
        self.wallets = {wallet.pk: wallet for wallet in ready.order_by("pk")}
        rows = WalletScript.objects.values_list("script_pubkey", "wallet_id")
        self.scripts = {bytes(script): wallet_id for script, wallet_id in rows}
        self.coins: dict[tx.OutPoint, tuple[tx.Output, int]] = {}
        self.reports = {pk: Report(wallet.name) for pk, wallet in self.wallets.items()}

    def spends(self, progress: Progress) -> Iterator[tuple[Wallet, adopt.Found]]:
        """Yield the txs that spend our coins: those in blocks in their order, then those of the mempool."""
        if not self.wallets:
            return
        tip = Block.objects.filter(is_active=True).aggregate(tip=Max("height"))["tip"]
        birth = min(wallet.birth_height or 0 for wallet in self.wallets.values())
        for height in range(birth, tip + 1):
            block_hash = self.client.block_hash(height)
            if block_hash is None:
                raise node.BlockUnknown("The node's chain became shorter while it was read.")
            for found in block.parse(self.client.raw_block(block_hash), block_hash=block_hash).txs:
                yield from self._look(found, block_hash, height)
            progress(height - birth + 1, tip + 1 - birth)
        seen: set[str] = set()
        while new := set(self.client.mempool_spenders(list(self.coins))) - seen:
            for txid in sorted(new):
                raw = self.client.mempool_tx(txid)
                if raw is not None:
                    yield from self._look(tx.parse(raw), None, None)
            seen |= new

    def _look(
        self, found: tx.Tx, block_hash: str | None, height: int | None
    ) -> Iterator[tuple[Wallet, adopt.Found]]:
        spent = [(outpoint, self.coins[outpoint]) for outpoint in found.inputs if outpoint in self.coins]
        if spent:
            wallet = self.wallets[spent[0][1][1]]
            learned = self._learn(wallet, found)
            own = frozenset(v for v, out in enumerate(found.outputs) if out.script_pubkey in self.scripts)
            inputs = tuple(versions.Input(outpoint, output) for outpoint, (output, _) in spent)
            if block_hash is not None and height is not None:
                _record(wallet, found, own, block_hash, height)
            if learned:
                log.info("scripts_learned_anew", wallet=wallet.name, count=learned)
            yield wallet, adopt.Found(found, inputs, own, block_hash, height)
            if block_hash is not None:
                for outpoint, _ in spent:
                    del self.coins[outpoint]
        for vout, output in enumerate(found.outputs):
            wallet_id = self.scripts.get(output.script_pubkey)
            if wallet_id in self.wallets:
                self.coins[tx.OutPoint(found.txid, vout)] = (output, wallet_id)

    def _learn(self, wallet: Wallet, found: tx.Tx) -> int:
        """Find which unknown outputs of a tx that spends our coins are the wallet's own change."""
        if PayoutTx.objects.filter(txid=found.txid).exists():
            return 0
        unknown = sorted({out.script_pubkey for out in found.outputs} - self.scripts.keys())
        own = wallets.learn_change(wallet, unknown, self.client)
        self.scripts |= dict.fromkeys(own, wallet.pk)
        return len(own)

    def take(self, wallet: Wallet, found: adopt.Found) -> None:
        """Take a tx over unless the database knows it, and note what came of it."""
        was_known = PayoutTx.objects.filter(txid=found.spend.txid, raw__isnull=False).exists()
        was_sealed = Payout.objects.filter(txs__txid=found.spend.txid, status=PayoutStatus.SEALED).exists()
        is_explained = adopt.adopt(wallet, found)
        report = self.reports[wallet.pk]
        if not is_explained:
            report.unexplained.append(found.spend.txid)
        elif was_sealed or not was_known:
            report.adopted.append(found.spend.txid)


@transaction.atomic
def _record(wallet: Wallet, found: tx.Tx, own: frozenset[int], block_hash: str, height: int) -> None:
    """Write down the fact and the coins that the follower could not see, because their scripts were lost."""
    if not ChainFact.objects.filter(txid=found.txid, block_hash=block_hash).exists():
        ChainFact.objects.create(
            wallet=wallet,
            kind=ChainFactKind.MINED,
            txid=found.txid,
            block_hash=block_hash,
            block_height=height,
        )
    for vout in sorted(own):
        Coin.objects.get_or_create(
            txid=found.txid,
            vout=vout,
            defaults={
                "wallet": wallet,
                "amount_sat": found.outputs[vout].amount_sat,
                "script_pubkey": found.outputs[vout].script_pubkey,
                "is_coinbase": False,
                "block_hash": block_hash,
                "block_height": height,
            },
        )
    for outpoint in found.inputs:
        Coin.objects.filter(txid=outpoint.txid, vout=outpoint.vout, spent_by_txid=None).update(
            spent_by_txid=found.txid, spent_block_hash=block_hash
        )


def _conclude(wallet: Wallet, walk: _Walk, client: node.Node) -> Report:
    """Level the count with the node's, and lift the halt or say what is left."""
    client.load_wallet(wallet.name)
    report = walk.reports[wallet.pk]
    claims = claim.read(wallet, client)
    guard.check_installation(wallet, claims)
    last = max(claims, key=lambda found: found.number, default=None)
    with transaction.atomic():
        row = Wallet.objects.lock().get(pk=wallet.pk)
        was = audit.digest(row)
        number, txid = (last.number, last.txid) if last else (0, "")
        ahead = max(0, number - row.signed_count)
        report.missing = max(0, ahead - _count_found(row, number, txid))
        if report.missing:
            # One of them may be with a signer now: its own tx is the only one that may ever pay its payments.
            sealed = Payout.objects.filter(wallet=wallet, status=PayoutStatus.SEALED)
            for pk in sealed.values_list("pk", flat=True):
                note = "It may have gone to a signer after the day of the database."
                move(
                    Payout.objects.filter(pk=pk),
                    old=PayoutStatus.SEALED,
                    new=PayoutStatus.COMMITTED,
                    note=note,
                )
        if report.is_clean:
            _lift(row, report)
        elif row.halt_code == guard.HaltCode.DATABASE_RESTORED or ahead:
            reason = (
                f"The chain was read anew: {len(report.adopted)} txs taken over, {len(report.unexplained)} that "
                f"nothing explains {report.unexplained[:2]}, {report.missing} signed payouts not found."
            )
            guard.halt(row, guard.HaltCode.DATABASE_RESTORED, reason)
            Wallet.objects.filter(pk=row.pk).update(halt_reason=reason[:300])
        audit.record("chain.reimport", row, scope=wallet.program.scope, before=was)
    log.warning(
        "chain_reimported", wallet=wallet.name, adopted=report.adopted, unexplained=report.unexplained
    )
    return report


def _count_found(wallet: Wallet, last_number: int, last_txid: str) -> int:
    """Number the payouts past their commit point that this database never counted, and return how many there are."""
    closed = [PayoutStatus.SEALED, PayoutStatus.UNSEALED]
    found = Payout.objects.filter(wallet=wallet, claim_number=None).exclude(status__in=closed)
    newest = found.filter(txs__txid=last_txid).values_list("pk", flat=True).first()
    others = list(found.exclude(pk=newest or 0).order_by("pk").values_list("pk", flat=True))
    # The node's label says which of them has the last number.
    taken = {last_number} if newest is not None else set()
    free = (number for number in itertools.count(wallet.signed_count + 1) if number not in taken)
    numbers = dict(zip(others, free, strict=False)) | ({newest: last_number} if newest is not None else {})
    for pk, number in numbers.items():
        Payout.objects.filter(pk=pk).update(claim_number=number)
    count = max([wallet.signed_count, last_number, *numbers.values()])
    Wallet.objects.filter(pk=wallet.pk).update(signed_count=count)
    return len(numbers)


def _lift(wallet: Wallet, report: Report) -> None:
    note = (
        f"The chain was read anew; {len(report.adopted)} txs were taken over and nothing is left to explain."
    )
    if wallet.halt_code == guard.HaltCode.DATABASE_RESTORED:
        Wallet.objects.filter(pk=wallet.pk).update(halted_at=None, halt_code="", halt_reason="")
    for code in (guard.HaltCode.DATABASE_RESTORED, guard.HaltCode.STRANGER_SPENT):
        if code in (guard.HaltCode.DATABASE_RESTORED, wallet.halt_code) or report.adopted:
            alarms.clear(code.value, subject="wallet", subject_id=wallet.pk, note=note)
