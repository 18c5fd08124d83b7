"""Reconciling n payments and a tenth of them, whole and by increments, with evidence that is made while it is read."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.utils import timezone

from ledger import books, chart, events
from ledger.models import RunStatus
from ledger.reconciliation import service
from ledger.reconciliation.evidence import (
    ChainBlock,
    ChainFacts,
    ChainOutput,
    ChainSpend,
    ChainTx,
    ChangeClaim,
    Claim,
    Conversion,
    ConvertedList,
    PayoutClaim,
    Start,
    UtxoFact,
    Version,
)

PROGRAM = 999_998
SCOPE = chart.program_scope(PROGRAM)
GROUP = 500
IN_A_BLOCK = 20
AMOUNT_SAT, FEE_SAT, DEPOSIT_SAT = 1_000, 300, 2**50
SPENT_SAT = GROUP * AMOUNT_SAT + FEE_SAT
NOW = datetime(2026, 11, 29, tzinfo=UTC)


class Evidence:
    """Payout number k spends the change of number k - 1 and pays 500 people; twenty are in a block."""

    def __init__(self) -> None:
        self.count = 0
        self.last = 0

    @property
    def height(self) -> int:
        return 1 + -(-self.count // IN_A_BLOCK)

    def scopes(self) -> list[str]:
        return [SCOPE]

    def chain(self, scope: str) -> ChainFacts:
        return ChainFacts("regtest", _digest("block", self.height), self.height)

    def block_at(self, height: int) -> str | None:
        return _digest("block", height)

    def walk(self, scope: str, start: Start | None) -> "Walk":
        return Walk(self, 0 if start is None else start.height)

    def utxos(self, scope: str, chain: ChainFacts) -> UtxoFact:
        return UtxoFact(_digest("block", self.height), self.height, _left_sat(self.count), 1)

    def waiting(self, scope: str) -> Iterator[str]:
        return iter(())

    def read_tip(self) -> str:
        return _digest("block", self.height)

    def changed(self, scope: str, since: str, txids: Sequence[str]) -> Iterator[int]:
        yield from range(self.last + 1, self.count + 1)

    def owners(self, scope: str, payment_ids: Sequence[int]) -> Iterator[int]:
        yield from {payment // GROUP for payment in payment_ids}

    def rivals(self, scope: str, payout_ids: Sequence[int]) -> Iterator[int]:
        return iter(())

    def claims(self, scope: str, only: Sequence[int] | None) -> Iterator[Claim]:
        for number in self._numbers(only):
            txid = _digest("payout", number)
            for vout in range(GROUP):
                pk = number * GROUP + vout
                yield Claim(pk, number, txid, vout, _script(pk), AMOUNT_SAT, True, pk)

    def conversions(self, scope: str, only: Sequence[int] | None) -> Iterator[Conversion]:
        return iter(())

    def converted(self, scope: str, list_ids: Sequence[int]) -> Iterator[ConvertedList]:
        return iter(())

    def payouts(self, scope: str, only: Sequence[int] | None) -> Iterator[PayoutClaim]:
        for number in self._numbers(only):
            txid = _digest("payout", number)
            yield PayoutClaim(number, txid, FEE_SAT, GROUP * AMOUNT_SAT, True, False, True, True, NOW)

    def versions(self, scope: str, only: Sequence[int] | None) -> Iterator[Version]:
        for number in self._numbers(only):
            yield Version(number, _digest("payout", number))

    def change(self, scope: str, only: Sequence[int] | None) -> Iterator[ChangeClaim]:
        for number in self._numbers(only):
            yield ChangeClaim(_digest("payout", number), GROUP, _script(0), _left_sat(number))

    def _numbers(self, only: Sequence[int] | None) -> Sequence[int]:
        return range(1, self.count + 1) if only is None else only


class Walk:
    """Makes blocks while they are read."""

    def __init__(self, evidence: Evidence, height: int) -> None:
        self.evidence, self.height = evidence, height

    def read_to(self, chain: ChainFacts) -> Iterator[ChainBlock]:
        for height in range(self.height + 1, chain.height + 1):
            self.height = height
            yield ChainBlock(height, _digest("block", height), int(NOW.timestamp()), tuple(self._txs(height)))

    def _txs(self, height: int) -> Iterator[ChainTx]:
        if height == 1:
            output = ChainOutput(GROUP, _script(0), DEPOSIT_SAT, True)
            yield ChainTx(_digest("payout", 0), 1, (output,), ())
            return
        first = (height - 2) * IN_A_BLOCK + 1
        for number in range(first, min(first + IN_A_BLOCK, self.evidence.count + 1)):
            outputs = [
                ChainOutput(vout, _script(number * GROUP + vout), AMOUNT_SAT, False) for vout in range(GROUP)
            ]
            outputs.append(ChainOutput(GROUP, _script(0), _left_sat(number), True))
            spend = ChainSpend(_digest("payout", number - 1), GROUP, _left_sat(number - 1))
            yield ChainTx(_digest("payout", number), 1, tuple(outputs), (spend,))


evidence = Evidence()


def backend() -> Evidence:
    """Return what testifies in this process."""
    return evidence


def measure(payments: int) -> dict[str, Any]:
    """Return the seconds of full runs over a tenth of the payments and all, and of increments on top of both."""
    settings.LEDGER_EVIDENCE = "tests.bench.reconciliation.backend"
    chart.open_program(PROGRAM)
    books.post(
        [
            events.funding(
                program_id=PROGRAM,
                txid=_digest("payout", 0),
                vout=GROUP,
                amount_sat=DEPOSIT_SAT,
                occurrence=1,
                effective_at=NOW,
                block_hash=_digest("block", 1),
                block_height=1,
            )
        ]
    )
    # Whole blocks, so that none is added to after it was read.
    most = max(2, payments // GROUP // IN_A_BLOCK) * IN_A_BLOCK
    few = max(1, most // 10 // IN_A_BLOCK) * IN_A_BLOCK
    at_few, at_most = _stage(few), _stage(most)
    linear = at_most["full_s"] / at_few["full_s"] / (at_most["payments"] / at_few["payments"])
    return {
        "few": at_few,
        "most": at_most,
        # 1.0 is linear; an increment costs the same however much lies behind it.
        "full_to_linear": round(linear, 2),
        "increment_most_to_few": round(at_most["increment_s"] / at_few["increment_s"], 2),
    }


def _stage(count: int) -> dict[str, Any]:
    _pay_up_to(count)
    full_s = _run(is_full=True)
    _pay_up_to(count + IN_A_BLOCK)
    increment_s = _run(is_full=False)
    return {
        "payments": count * GROUP,
        "full_s": round(full_s, 2),
        "payments_a_second": round(count * GROUP / full_s),
        "increment_payments": IN_A_BLOCK * GROUP,
        "increment_s": round(increment_s, 2),
        "nothing_new_s": round(_run(is_full=False), 2),
    }


def _run(*, is_full: bool) -> float:
    begin = time.perf_counter()
    (run,) = service.reconcile(scope=SCOPE, now=timezone.now(), is_full=is_full)
    seconds = time.perf_counter() - begin
    assert (run.status, run.is_full) == (RunStatus.CLEAN, is_full), (run.status, run.reason, run.counts)
    assert run.counts["matched"] == evidence.count * GROUP
    evidence.last = evidence.count
    return seconds


def _pay_up_to(count: int) -> None:
    for number in range(evidence.count + 1, count + 1):
        books.post(
            [
                events.payout_sent(
                    program_id=PROGRAM,
                    payout_id=number,
                    payment_ids=range(number * GROUP, (number + 1) * GROUP),
                    amounts_sat=[AMOUNT_SAT] * GROUP,
                    fee_sat=FEE_SAT,
                    effective_at=NOW,
                )
            ]
        )
    evidence.count = count


def _left_sat(number: int) -> int:
    return DEPOSIT_SAT - number * SPENT_SAT


def _digest(kind: str, number: int) -> str:
    return hashlib.sha256(f"{kind} {number}".encode()).hexdigest()


def _script(number: int) -> bytes:
    return b"\x00\x14" + hashlib.sha256(f"script {number}".encode()).digest()[:20]
