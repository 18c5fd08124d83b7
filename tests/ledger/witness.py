"""A made-up wallet with honest claims, books and blocks, which tests then bend one at a time."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.utils import timezone

from govpay.errors import GovPayError
from ledger import books, chart, events
from ledger.models import ReconciliationRun
from ledger.reconciliation import service
from ledger.reconciliation.evidence import (
    ChainFacts,
    ChainForked,
    ChainOutput,
    ChainSpend,
    ChainTx,
    ChangeClaim,
    Claim,
    PayoutClaim,
    SourceStale,
    UtxoFact,
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
    """One program's populations, and what its sources do when asked: fail, move on to another block, or fork."""

    claims: list[Claim] = field(default_factory=list)
    payouts: list[PayoutClaim] = field(default_factory=list)
    change: list[ChangeClaim] = field(default_factory=list)
    txs: list[ChainTx] = field(default_factory=list)
    coins: dict[tuple[str, int], int] = field(default_factory=dict)
    height: int = 100
    failures: list[GovPayError] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)
    forks: int = 0
    reads: list[int] = field(default_factory=list)

    @property
    def block_hash(self) -> str:
        return digest_of("block", self.height)

    @property
    def balance_sat(self) -> int:
        """What is unspent on the chain."""
        return sum(self.coins.values())

    def deposit(self, number: int, amount_sat: int, *, is_booked: bool = True) -> tuple[str, int]:
        """Coins come in and are booked."""
        txid = digest_of("deposit", number)
        output = ChainOutput(1, script_of("funding"), amount_sat, True)
        self.txs.append(ChainTx(txid, self.block_hash, self.height, 1, (output,), ()))
        self.coins[txid, 1] = amount_sat
        if is_booked:
            books.post(
                [
                    events.funding(
                        program_id=PROGRAM,
                        txid=txid,
                        vout=1,
                        amount_sat=amount_sat,
                        occurrence=1,
                        effective_at=timezone.now(),
                        block_hash=self.block_hash,
                        block_height=self.height,
                    )
                ]
            )
        return txid, 1

    def pay(self, payout_id: int, first: int, amounts_sat: list[int], *, is_mined: bool = True) -> str:
        """Sign and book a payout of payments numbered from ``first``, and mine it unless told otherwise."""
        coin = max(self.coins, key=lambda outpoint: self.coins[outpoint])
        coin_sat = self.coins[coin]
        txid = digest_of("payout", payout_id)
        change_sat = coin_sat - sum(amounts_sat) - FEE_SAT
        change_script = script_of("change", payout_id)
        for vout, amount_sat in enumerate(amounts_sat):
            script = script_of("person", first + vout)
            self.claims.append(Claim(first + vout, payout_id, txid, vout, script, amount_sat, is_mined))
        change_vout = len(amounts_sat)
        self.payouts.append(PayoutClaim(payout_id, txid, FEE_SAT, sum(amounts_sat), is_mined))
        self.change.append(ChangeClaim(txid, change_vout, change_script, change_sat))
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
        if is_mined:
            outputs = [
                ChainOutput(vout, script_of("person", first + vout), amount_sat, False)
                for vout, amount_sat in enumerate(amounts_sat)
            ]
            outputs.append(ChainOutput(change_vout, change_script, change_sat, True))
            spend = ChainSpend(*coin, coin_sat)
            self.txs.append(ChainTx(txid, self.block_hash, self.height, 1, tuple(outputs), (spend,)))
            del self.coins[coin]
            self.coins[txid, change_vout] = change_sat
        return txid

    def bend_output(self, txid: str, vout: int, **changes: object) -> None:
        """Let the chain say something else of one output."""
        for index, found in enumerate(self.txs):
            if found.txid == txid:
                outputs = tuple(o._replace(**changes) if o.vout == vout else o for o in found.outputs)
                self.txs[index] = found._replace(outputs=outputs)

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

    def walk(self, scope: str) -> "WitnessWalk":
        return WitnessWalk(self.world)

    def utxos(self, scope: str) -> UtxoFact:
        if self.world.moves and self.world.moves[0] == "node":
            self.world.moves.pop(0)
            return UtxoFact(digest_of("another block"), self.world.height + 1, 0, 0)
        return UtxoFact(
            self.world.block_hash, self.world.height, self.world.balance_sat, len(self.world.coins)
        )

    def read_tip(self) -> str:
        if self.world.moves and self.world.moves[0] == "follower":
            self.world.moves.pop(0)
            self.world.height += 1
        return self.world.block_hash

    def claims(self, scope: str) -> Iterator[Claim]:
        yield from self.world.claims

    def payouts(self, scope: str) -> Iterator[PayoutClaim]:
        yield from self.world.payouts

    def change(self, scope: str) -> Iterator[ChangeClaim]:
        """Yield what comes back."""
        yield from self.world.change


class WitnessWalk:
    """Yields each tx once, and may say that the chain forked after some of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.read = 0

    def read_to(self, chain: ChainFacts) -> Iterator[ChainTx]:
        fresh, self.read = self.world.txs[self.read :], len(self.world.txs)
        self.world.reads.append(len(fresh))
        yield from fresh
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


def reconcile() -> ReconciliationRun:
    (found,) = service.reconcile(scope=SCOPE, now=timezone.now())
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
