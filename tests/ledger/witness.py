"""A made-up wallet with honest claims, books and blocks, which tests then bend one at a time."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone

from govpay.errors import GovPayError
from ledger import books, chart, events
from ledger.models import ReconciliationRun
from ledger.reconciliation import service
from ledger.reconciliation.evidence import (
    ChainBlock,
    ChainFacts,
    ChainForked,
    ChainOutput,
    ChainSpend,
    ChainTx,
    ChangeClaim,
    Claim,
    Conversion,
    ConvertedList,
    PayoutClaim,
    SourceStale,
    Start,
    UtxoFact,
    Version,
)

PROGRAM = 7
SCOPE = chart.program_scope(PROGRAM)
FEE_SAT = 300


def digest_of(*words: object) -> str:
    """A hash that looks like one and is the same in every run."""
    return hashlib.sha256("|".join(map(str, words)).encode()).hexdigest()


def script_of(*words: object) -> bytes:
    """A P2WPKH script."""
    return b"\x00\x14" + bytes.fromhex(digest_of(*words))[:20]


@dataclass
class World:
    """One program's populations, and what its sources do when asked: fail, move on to another block, or fork.

    ``blocks`` are the chain from height 100 on; what is deposited or mined goes into the last one.
    """

    claims: list[Claim] = field(default_factory=list)
    payouts: list[PayoutClaim] = field(default_factory=list)
    conversions: list[Conversion] = field(default_factory=list)
    lists: list[ConvertedList] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)
    change: list[ChangeClaim] = field(default_factory=list)
    blocks: list[ChainBlock] = field(default_factory=list)
    coins: dict[tuple[str, int], int] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    changed: set[int] = field(default_factory=set)
    failures: list[GovPayError] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)
    forks: int = 0
    reads: list[int] = field(default_factory=list)
    loaded: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mine()

    @property
    def height(self) -> int:
        return self.blocks[-1].height

    @property
    def block_hash(self) -> str:
        return self.blocks[-1].block_hash

    @property
    def balance_sat(self) -> int:
        """What is unspent on the chain."""
        return sum(self.coins.values())

    @property
    def txs(self) -> list[ChainTx]:
        return [tx for block in self.blocks for tx in block.txs]

    def mine(self, *, at: datetime | None = None, branch: str = "") -> ChainBlock:
        """Add an empty block."""
        height = 100 + len(self.blocks)
        time_s = int((at or timezone.now()).timestamp())
        self.blocks.append(ChainBlock(height, digest_of("block", height, branch), time_s, ()))
        return self.blocks[-1]

    def reorg(self, depth: int) -> list[ChainTx]:
        """Let as many blocks leave the chain, mine as many empty ones, and return the txs that left with them."""
        gone = [tx for block in self.blocks[-depth:] for tx in block.txs]
        del self.blocks[-depth:]
        for tx in reversed(gone):
            for output in tx.outputs:
                self.coins.pop((tx.txid, output.vout), None)
            for spent in tx.spends:
                self.coins[spent.txid, spent.vout] = spent.amount_sat
        for _ in range(depth):
            self.mine(branch=digest_of(gone, len(self.reads)))
        return gone

    def add_tx(self, tx: ChainTx) -> None:
        """Put a tx into the last block."""
        self.blocks[-1] = self.blocks[-1]._replace(txs=(*self.blocks[-1].txs, tx))
        for spent in tx.spends:
            self.coins.pop((spent.txid, spent.vout), None)
        self.coins |= {(tx.txid, o.vout): o.amount_sat for o in tx.outputs if o.is_ours}

    def deposit(self, number: int, amount_sat: int, *, is_booked: bool = True) -> tuple[str, int]:
        """Coins come in and are booked."""
        txid = digest_of("deposit", number)
        self.add_tx(ChainTx(txid, 1, (ChainOutput(1, script_of("funding"), amount_sat, True),), ()))
        if is_booked:
            self.book_deposit(txid, amount_sat)
        return txid, 1

    def book_deposit(self, txid: str, amount_sat: int, *, occurrence: int = 1) -> int:
        """Book a deposit at the last block."""
        (entry_id,) = books.post(
            [
                events.funding(
                    program_id=PROGRAM,
                    txid=txid,
                    vout=1,
                    amount_sat=amount_sat,
                    occurrence=occurrence,
                    effective_at=timezone.now(),
                    block_hash=self.block_hash,
                    block_height=self.height,
                )
            ]
        )
        return entry_id

    def steal(self, *, txid: str = "", fee_sat: int = 10) -> ChainTx:
        """A tx that is not ours spends our largest coin."""
        coin = max(self.coins, key=lambda outpoint: self.coins[outpoint])
        spend = ChainSpend(*coin, self.coins[coin])
        output = ChainOutput(0, script_of("thief"), self.coins[coin] - fee_sat, False)
        stolen = ChainTx(txid or digest_of("thief"), 1, (output,), (spend,))
        self.add_tx(stolen)
        return stolen

    def pay(
        self,
        payout_id: int,
        first: int,
        amounts_sat: list[int],
        *,
        is_mined: bool = True,
        since: datetime | None = None,
    ) -> str:
        """Sign and book a payout of payments numbered from ``first``, and mine it unless told otherwise."""
        coin = max(self.coins, key=lambda outpoint: self.coins[outpoint])
        coin_sat = self.coins[coin]
        txid = digest_of("payout", payout_id)
        change_sat = coin_sat - sum(amounts_sat) - FEE_SAT
        change_script = script_of("change", payout_id)
        for vout, amount_sat in enumerate(amounts_sat):
            person, pk = script_of("person", first + vout), first + vout
            self.claims.append(Claim(pk, payout_id, txid, vout, person, amount_sat, is_mined, pk))
        change_vout = len(amounts_sat)
        self.payouts.append(
            PayoutClaim(
                payout_id,
                txid,
                FEE_SAT,
                sum(amounts_sat),
                is_mined,
                False,
                True,
                is_mined,
                since or timezone.now(),
            )
        )
        self.versions.append(Version(payout_id, txid))
        self.change.append(ChangeClaim(txid, change_vout, change_script, change_sat))
        self.changed.add(payout_id)
        books.post(
            [
                events.payout_sent(
                    program_id=PROGRAM,
                    payout_id=payout_id,
                    payment_ids=range(first, first + len(amounts_sat)),
                    amounts_sat=amounts_sat,
                    fee_sat=FEE_SAT,
                    effective_at=timezone.now(),
                )
            ]
        )
        if not is_mined:
            self.waiting.add(txid)
            return txid
        outputs = [
            ChainOutput(vout, script_of("person", first + vout), amount_sat, False)
            for vout, amount_sat in enumerate(amounts_sat)
        ]
        outputs.append(ChainOutput(change_vout, change_script, change_sat, True))
        self.add_tx(ChainTx(txid, 1, tuple(outputs), (ChainSpend(*coin, coin_sat),)))
        return txid

    def settle(self, payout_id: int, *, is_booked: bool = True, occurrence: int = 1) -> None:
        """A payout is buried deep enough, and that is booked."""
        self.bend_payout(payout_id, is_settled=True)
        (paid,) = (payout for payout in self.payouts if payout.payout_id == payout_id)
        if is_booked:
            books.post(
                [
                    events.settlement(
                        program_id=PROGRAM,
                        payout_id=payout_id,
                        amount_sat=paid.payments_sat,
                        occurrence=occurrence,
                        effective_at=timezone.now(),
                        block_hash=self.block_hash,
                        block_height=self.height,
                    )
                ]
            )

    def bend_payout(self, payout_id: int, **changes: object) -> None:
        """Let the records say something else of one payout."""
        self.changed.add(payout_id)
        self.payouts = [p._replace(**changes) if p.payout_id == payout_id else p for p in self.payouts]  # type: ignore[arg-type]

    def bend_claim(self, payment_id: int, **changes: object) -> None:
        """Let the records say something else of one payment."""
        self.claims = [c._replace(**changes) if c.payment_id == payment_id else c for c in self.claims]  # type: ignore[arg-type]
        self.changed.update(c.payout_id for c in self.claims if c.payment_id == payment_id)

    def bend_tx(self, txid: str, **changes: object) -> None:
        """Let the chain say something else of one tx."""
        for index, block in enumerate(self.blocks):
            txs = tuple(tx._replace(**changes) if tx.txid == txid else tx for tx in block.txs)  # type: ignore[arg-type]
            self.blocks[index] = block._replace(txs=txs)

    def bend_output(self, txid: str, vout: int, **changes: object) -> None:
        """Let the chain say something else of one output."""
        (found,) = (tx for tx in self.txs if tx.txid == txid)
        outputs = tuple(o._replace(**changes) if o.vout == vout else o for o in found.outputs)  # type: ignore[arg-type]
        self.bend_tx(txid, outputs=outputs)
        self.coins = {outpoint: sat for outpoint, sat in self.coins.items() if outpoint != (txid, vout)}
        spent = {(s.txid, s.vout) for tx in self.txs for s in tx.spends}
        if outputs[[o.vout for o in outputs].index(vout)].is_ours and (txid, vout) not in spent:
            (output,) = (o for o in outputs if o.vout == vout)
            self.coins[txid, vout] = output.amount_sat

    def open_books(self) -> None:
        """Open the program's accounts."""
        chart.open_program(PROGRAM)


class Witness:
    """Implements ``evidence.Backend`` over the world."""

    def __init__(self, world: World) -> None:
        self.world = world

    def scopes(self) -> list[str]:
        return [SCOPE]

    def chain(self, scope: str) -> ChainFacts:
        if self.world.failures:
            raise self.world.failures.pop(0)
        return ChainFacts("regtest", self.world.block_hash, self.world.height)

    def block_at(self, height: int) -> str | None:
        at = {block.height: block.block_hash for block in self.world.blocks}
        return at.get(height)

    def walk(self, scope: str, start: Start | None) -> "WitnessWalk":
        return WitnessWalk(self.world, start)

    def utxos(self, scope: str, chain: ChainFacts) -> UtxoFact:
        if self.world.moves and self.world.moves[0] == "node":
            self.world.moves.pop(0)
            return UtxoFact(digest_of("another block"), self.world.height + 1, 0, 0)
        return UtxoFact(
            self.world.block_hash, self.world.height, self.world.balance_sat, len(self.world.coins)
        )

    def waiting(self, scope: str) -> Iterator[str]:
        yield from sorted(self.world.waiting)

    def read_tip(self) -> str:
        if self.world.moves and self.world.moves[0] == "follower":
            self.world.moves.pop(0)
            self.world.mine()
        return self.world.block_hash

    def changed(self, scope: str, since: str, txids: Sequence[str]) -> Iterator[int]:
        """Yield what tests changed, as the rows' own transactions would tell, and the payouts that have a tx."""
        mine = {version.payout_id for version in self.world.versions if version.txid in set(txids)}
        yield from self.world.changed | mine
        self.world.changed = set()

    def owners(self, scope: str, payment_ids: Sequence[int]) -> Iterator[int]:
        yield from {c.payout_id for c in self.world.claims if c.payment_id in set(payment_ids)}

    def rivals(self, scope: str, payout_ids: Sequence[int]) -> Iterator[int]:
        wanted = {c.obligation for c in _of(self.world.claims, payout_ids)}
        yield from {c.payout_id for c in self.world.claims if c.obligation in wanted}

    def claims(self, scope: str, only: Sequence[int] | None) -> Iterator[Claim]:
        if only is None:
            self.world.changed = set()
        for claim in _of(self.world.claims, only):
            self.world.loaded.append(claim.payment_id)
            yield claim

    def conversions(self, scope: str, only: Sequence[int] | None) -> Iterator[Conversion]:
        yield from (c for c in self.world.conversions if only is None or c.payout_id in only)

    def converted(self, scope: str, list_ids: Sequence[int]) -> Iterator[ConvertedList]:
        yield from (found for found in self.world.lists if found.list_id in list_ids)

    def payouts(self, scope: str, only: Sequence[int] | None) -> Iterator[PayoutClaim]:
        yield from _of(self.world.payouts, only)

    def versions(self, scope: str, only: Sequence[int] | None) -> Iterator[Version]:
        yield from _of(self.world.versions, only)

    def change(self, scope: str, only: Sequence[int] | None) -> Iterator[ChangeClaim]:
        """Yield what comes back."""
        txids = {version.txid for version in _of(self.world.versions, only)}
        yield from (change for change in self.world.change if change.txid in txids)


def _of(rows: list, only: Sequence[int] | None) -> list:  # type: ignore[type-arg]
    wanted = None if only is None else set(only)
    return [row for row in rows if wanted is None or row.payout_id in wanted]


class WitnessWalk:
    """Yields each block once, and may say that the chain forked after some of them."""

    def __init__(self, world: World, start: Start | None) -> None:
        self.world = world
        self.height = 0 if start is None else start.height
        self.coins = {} if start is None else dict(start.coins)

    def read_to(self, chain: ChainFacts) -> Iterator[ChainBlock]:
        fresh = [block for block in self.world.blocks if self.height < block.height <= chain.height]
        self.height = chain.height
        self.world.reads.append(len(fresh))
        for block in fresh:
            for tx in block.txs:
                for spent in tx.spends:
                    assert self.coins.pop((spent.txid, spent.vout)) > 0, "the walk does not know the coin"
                self.coins |= {(tx.txid, o.vout): o.amount_sat for o in tx.outputs if o.is_ours}
            yield block
        if self.world.forks:
            self.world.forks -= 1
            raise ChainForked("The chain forked.")


world = World()


def backend() -> Witness:
    """Return the witness of the world that the test has set up."""
    return Witness(world)


def stale() -> SourceStale:
    """A source that may come round."""
    return SourceStale("The follower is behind.")


def reconcile(*, is_full: bool = False) -> ReconciliationRun:
    (found,) = service.reconcile(scope=SCOPE, now=timezone.now(), is_full=is_full)
    return found


def outcomes(found: ReconciliationRun) -> dict[str, int]:
    return {outcome: count for outcome, count in found.counts.items() if count}


def book(key: str, lines: list[books.Line], source_ref: str = "") -> None:
    books.post(
        [
            books.Draft(
                kind="test",
                scope=SCOPE,
                idempotency_key=key,
                lines=lines,
                effective_at=timezone.now(),
                source_ref=source_ref,
                actor="tester",
            )
        ]
    )
