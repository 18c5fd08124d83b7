"""The rules of reconciliation over made-up evidence: every kind of break alone, and no proof from bad sources."""

import io
import tracemalloc
from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from psycopg.conninfo import conninfo_to_dict

from govpay.errors import NotFound, Unavailable
from ledger import books, chart
from ledger.models import Break, BreakKind, Entry, Posting, ReconciliationRun, RunStatus
from ledger.reconciliation import evidence, run, service, tables
from ledger.reconciliation.spool import Spool
from tests import services
from tests.ledger import witness
from tests.ledger.witness import FEE_SAT, SCOPE, World, digest_of, script_of

pytestmark = pytest.mark.django_db(transaction=True)

ACCOUNTS = chart.program_accounts(witness.PROGRAM)


@pytest.fixture
def empty_world(settings: object, monkeypatch: pytest.MonkeyPatch) -> World:
    """No coins yet; the sources are asked again at once."""
    settings.LEDGER_EVIDENCE = "tests.ledger.witness.backend"  # type: ignore[attr-defined]
    monkeypatch.setattr(service, "WAIT_S", 0)
    world = World()
    monkeypatch.setattr(witness, "world", world)
    world.open_books()
    return world


@pytest.fixture
def world(empty_world: World) -> World:
    """A deposit of 1,000,000 sat, a mined payout of payments 1 to 3 and one in flight of 4 and 5."""
    empty_world.deposit(1, 1_000_000)
    empty_world.pay(1, 1, [100, 200, 300])
    empty_world.pay(2, 4, [400, 500], is_mined=False)
    return empty_world


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
            )
        ]
    )


def only_break(found: ReconciliationRun) -> dict[str, object]:
    (row,) = Break.objects.filter(run=found).values()
    return {name: row[name] for name in ("payment_id", "payout_id", "txid", "vout", "expected", "found")}


class TestReconcile:
    def test_is_clean_where_all_agree(self, world: World) -> None:
        found = reconcile()
        assert (found.status, found.reason) == (RunStatus.CLEAN, "")
        assert found.counts == {
            "claims": 5,
            "matched": 3,
            "in_flight": 2,
            **dict.fromkeys(BreakKind.values, 0),
        }
        assert found.totals == {
            "claimed_sat": 1_500,
            "matched_sat": 600,
            "in_flight_sat": 900,
            "wallet_booked_sat": 1_000_000 - 1_500 - 2 * FEE_SAT,
            "wallet_leaving_sat": 900 + FEE_SAT,
            "wallet_unspent_sat": 1_000_000 - 600 - FEE_SAT,
            "wallet_unspent_count": 1,
        }
        assert (found.block_hash, found.block_height) == (world.block_hash, 100)
        assert found.breaks.count() == 0

    def test_is_clean_where_nothing_happened_yet(self, empty_world: World) -> None:
        found = reconcile()
        assert (found.status, outcomes(found)) == (RunStatus.CLEAN, {})

    def test_takes_settlement_for_no_difference(self, world: World) -> None:
        book("settled", [books.Line(ACCOUNTS.payable, 600), books.Line(ACCOUNTS.in_transit, -600)])
        assert reconcile().status == RunStatus.CLEAN

    def test_takes_a_deposit_that_came_back_after_its_reversal(self, world: World) -> None:
        entry = Entry.objects.get(kind="funding")
        now = timezone.now()
        books.reverse(entry.pk, idempotency_key="gone", effective_at=now, memo="", actor="engine")
        assert outcomes(reconcile()) == {
            "claims": 5, "matched": 3, "in_flight": 2, "unknown_in": 1, "balance": 1
        }  # fmt: skip
        lines = [books.Line(ACCOUNTS.hot_wallet, 1_000_000), books.Line(ACCOUNTS.appropriation, -1_000_000)]
        book("again", lines, source_ref=entry.source_ref)
        assert reconcile().status == RunStatus.CLEAN

    def test_refuses_a_scope_that_nobody_knows(self, world: World) -> None:
        with pytest.raises(NotFound):
            service.reconcile(scope="program:8", now=timezone.now())
        assert ReconciliationRun.objects.count() == 0

    def test_changes_nothing_in_the_books(self, world: World) -> None:
        before = list(Posting.objects.order_by("pk").values())
        reconcile()
        assert list(Posting.objects.order_by("pk").values()) == before

    def test_reports_what_it_does(self, world: World) -> None:
        said: list[str] = []
        service.reconcile(scope=None, now=timezone.now(), report=said.append)
        assert said == [
            f"{SCOPE}: reading blocks",
            f"{SCOPE}: asking the node for what is unspent at block 100",
            f"{SCOPE}: comparing",
        ]


class TestBreak:
    """Each kind exactly once, while everything else still agrees."""

    HONEST = {"claims": 5, "matched": 3, "in_flight": 2}

    def expect(self, kind: str, **changed: int) -> ReconciliationRun:
        found = reconcile()
        assert (found.status, outcomes(found)) == (RunStatus.BREAKS, self.HONEST | changed | {kind: 1})
        assert [b.kind for b in found.breaks.all()] == [kind]
        return found

    def test_amount(self, world: World) -> None:
        txid = digest_of("payout", 1)
        world.bend_output(txid, 0, amount_sat=101)
        # The satoshi comes out of the change, so that the fee is as booked.
        world.bend_output(txid, 3, amount_sat=1_000_000 - 600 - FEE_SAT - 1)
        world.payouts[0] = world.payouts[0]._replace(change_sat=1_000_000 - 600 - FEE_SAT - 1)
        found = self.expect("amount", matched=2)
        assert only_break(found) == {
            "payment_id": 1, "payout_id": 1, "txid": txid, "vout": 0, "expected": "100", "found": "101"
        }  # fmt: skip

    def test_payee(self, world: World) -> None:
        txid = digest_of("payout", 1)
        world.bend_output(txid, 1, script_pubkey=script_of("thief"))
        found = self.expect("payee", matched=2)
        assert only_break(found) == {
            "payment_id": 2,
            "payout_id": 1,
            "txid": txid,
            "vout": 1,
            "expected": script_of("person", 2).hex(),
            "found": script_of("thief").hex(),
        }

    def test_missing(self, world: World) -> None:
        world.claims[3] = world.claims[3]._replace(is_mined=True)
        found = self.expect("missing", in_flight=1)
        assert only_break(found)["payment_id"] == 4

    def test_extra(self, world: World) -> None:
        world.payouts[0] = world.payouts[0]._replace(change_script_pubkey=script_of("no change of ours"))
        found = self.expect("extra")
        assert only_break(found) == {
            "payment_id": None,
            "payout_id": 1,
            "txid": digest_of("payout", 1),
            "vout": 3,
            "expected": "",
            "found": str(1_000_000 - 600 - FEE_SAT),
        }

    def test_extra_where_what_is_called_change_is_not_ours(self, world: World) -> None:
        world.bend_output(digest_of("payout", 1), 3, is_ours=False)
        self.expect("extra")

    def test_unbooked(self, world: World) -> None:
        lines = [books.Line(ACCOUNTS.in_transit, -200, 2), books.Line(ACCOUNTS.payable, 200)]
        book("unbook", lines)
        found = self.expect("unbooked", matched=2)
        assert only_break(found)["payment_id"] == 2

    def test_unbooked_before_it_is_in_a_block(self, world: World) -> None:
        lines = [books.Line(ACCOUNTS.in_transit, 1, 5), books.Line(ACCOUNTS.payable, -1)]
        book("one too many", lines)
        found = self.expect("unbooked", in_flight=1)
        assert (only_break(found)["expected"], only_break(found)["found"]) == ("500", "501")

    def test_ledger_only(self, world: World) -> None:
        book("ghost", [books.Line(ACCOUNTS.in_transit, 50, 99), books.Line(ACCOUNTS.payable, -50)])
        found = self.expect("ledger_only")
        assert only_break(found) == {
            "payment_id": 99, "payout_id": None, "txid": "", "vout": None, "expected": "", "found": "50"
        }  # fmt: skip

    def test_ledger_only_for_a_deposit_that_is_not_on_the_chain(self, world: World) -> None:
        lines = [books.Line(ACCOUNTS.hot_wallet, 50), books.Line(ACCOUNTS.appropriation, -50)]
        book("dream", lines, source_ref=f"outpoint:{'ab' * 32}:4")
        world.coins["mended", 0] = 50
        found = self.expect("ledger_only")
        assert (only_break(found)["txid"], only_break(found)["vout"]) == ("ab" * 32, 4)

    def test_unknown_in(self, world: World) -> None:
        txid, vout = world.deposit(2, 70, is_booked=False)
        del world.coins[txid, vout]
        found = self.expect("unknown_in")
        assert only_break(found) == {
            "payment_id": None, "payout_id": None, "txid": txid, "vout": 1, "expected": "", "found": "70"
        }  # fmt: skip

    def test_unknown_in_where_another_amount_is_booked(self, world: World) -> None:
        world.bend_output(digest_of("deposit", 1), 1, amount_sat=999_999)
        found = self.expect("unknown_in")
        assert (only_break(found)["expected"], only_break(found)["found"]) == ("1000000", "999999")

    def test_unknown_out(self, world: World) -> None:
        (coin, amount_sat), *_ = world.coins.items()
        thief = digest_of("thief")
        output = evidence.ChainOutput(0, script_of("thief"), amount_sat - 10, False)
        spend = evidence.ChainSpend(*coin, amount_sat)
        world.txs.append(evidence.ChainTx(thief, world.block_hash, 100, 1, (output,), (spend,)))
        found = self.expect("unknown_out")
        assert only_break(found) == {
            "payment_id": None,
            "payout_id": None,
            "txid": coin[0],
            "vout": coin[1],
            "expected": "",
            "found": thief,
        }

    @pytest.mark.parametrize("wrong", ["books", "claim", "chain"])
    def test_fee(self, world: World, wrong: str) -> None:
        if wrong == "books":
            lines = [books.Line(ACCOUNTS.network_fees, 9), books.Line(ACCOUNTS.appropriation, -9)]
            book("fee", lines, source_ref="payout:1")
        elif wrong == "claim":
            world.payouts[0] = world.payouts[0]._replace(fee_sat=FEE_SAT + 9)
        else:
            spend = world.txs[1].spends[0]
            world.txs[1] = world.txs[1]._replace(spends=(spend._replace(amount_sat=spend.amount_sat + 9),))
        found = self.expect("fee")
        assert only_break(found)["payout_id"] == 1
        assert (only_break(found)["expected"], only_break(found)["found"]) == {
            "books": (str(FEE_SAT + 9), str(FEE_SAT)),
            "claim": (str(FEE_SAT + 9), str(FEE_SAT)),
            "chain": (str(FEE_SAT), str(FEE_SAT + 9)),
        }[wrong]

    def test_fee_where_an_input_is_not_known(self, world: World) -> None:
        world.txs[1] = world.txs[1]._replace(input_count=2)
        assert only_break(self.expect("fee"))["found"] == ""

    @pytest.mark.parametrize("off_sat", [-1, 1])
    def test_balance_to_the_satoshi(self, world: World, off_sat: int) -> None:
        (coin,) = world.coins
        world.coins[coin] += off_sat
        found = self.expect("balance")
        unspent_sat = 1_000_000 - 600 - FEE_SAT
        assert (only_break(found)["expected"], only_break(found)["found"]) == (
            str(unspent_sat),
            str(unspent_sat + off_sat),
        )

    def test_rows_are_stored_up_to_a_limit_and_counted_in_full(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(run, "MOST_BREAKS_STORED", 2)
        world.claims = [claim._replace(amount_sat=claim.amount_sat + 1) for claim in world.claims]
        found = reconcile()
        assert outcomes(found) == {"claims": 5, "amount": 3, "unbooked": 2}
        assert found.breaks.count() == 2


class TestDigest:
    def test_is_the_same_for_the_same_facts(self, world: World) -> None:
        assert bytes(reconcile().digest) == bytes(reconcile().digest)

    def test_changes_with_a_break(self, world: World) -> None:
        clean = bytes(reconcile().digest)
        world.bend_output(digest_of("payout", 1), 1, script_pubkey=script_of("thief"))
        one = bytes(reconcile().digest)
        world.bend_output(digest_of("payout", 1), 1, script_pubkey=script_of("another thief"))
        assert len({clean, one, bytes(reconcile().digest)}) == 3


class TestSources:
    def assert_inconclusive(self, reason: str) -> None:
        found = reconcile()
        assert (found.status, found.reason) == (RunStatus.INCONCLUSIVE, reason)
        assert (found.counts, found.totals, found.breaks.count()) == ({}, {}, 0)

    def test_that_stay_stale_are_inconclusive(self, world: World) -> None:
        world.failures = [witness.stale() for _ in range(service.ATTEMPTS)]
        self.assert_inconclusive("The follower is behind.")

    def test_that_come_round_are_compared(self, world: World) -> None:
        world.failures = [witness.stale() for _ in range(service.ATTEMPTS - 1)]
        assert reconcile().status == RunStatus.CLEAN

    @pytest.mark.parametrize("error", [evidence.SourceTooOld("Two days old."), Unavailable("Down.")])
    def test_that_fail_are_inconclusive_at_once(self, world: World, error: Exception) -> None:
        world.failures = [error]  # type: ignore[list-item]
        self.assert_inconclusive(str(error))

    def test_that_move_between_two_looks_are_asked_again(self, world: World) -> None:
        world.moves = ["node", "follower", "node"]
        found = reconcile()
        assert (found.status, found.block_height) == (RunStatus.CLEAN, 101)
        # Blocks that were read are not read again.
        assert world.reads == [2, 0, 0, 0]

    def test_that_never_stand_still_are_inconclusive(self, world: World) -> None:
        world.moves = ["node"] * service.ATTEMPTS
        self.assert_inconclusive(
            f"The node moved from block {world.block_hash} to {digest_of('another block')}."
        )

    def test_that_fork_are_read_from_the_start(self, world: World) -> None:
        world.forks = 1
        found = reconcile()
        assert (found.status, outcomes(found)) == (RunStatus.CLEAN, TestBreak.HONEST)
        assert world.reads == [2, 2]


class TestRole:
    def test_of_the_application_suffices(self, world: World) -> None:
        try:
            parts = conninfo_to_dict(services.get_postgres().app_url)
        except LookupError:
            pytest.skip("An outside server's application role is not known here.")
        call_command("grant_roles", role=parts["user"], stdout=io.StringIO())
        owner = connection.settings_dict
        connection.close()
        connection.settings_dict = owner | {"USER": parts["user"], "PASSWORD": parts.get("password", "")}
        try:
            found = reconcile()
            with connection.cursor() as cursor:
                cursor.execute("SELECT current_user")
                assert cursor.fetchone() == (parts["user"],)
        finally:
            connection.close()
            connection.settings_dict = owner
        assert (found.status, outcomes(found)) == (RunStatus.CLEAN, TestBreak.HONEST)


class TestMemory:
    def test_of_the_spool_does_not_grow_with_the_chain(self) -> None:
        def peak(count: int) -> int:
            spool = Spool()
            tracemalloc.start()
            spool.add(
                evidence.ChainTx(
                    digest_of(n),
                    digest_of("block"),
                    1,
                    1,
                    tuple(evidence.ChainOutput(v, script_of(v), 1, False) for v in range(20)),
                    (),
                )
                for n in range(count)
            )
            size = sum(len(chunk) for chunk in spool.chunks("recon_output"))
            highest = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            spool.close()
            assert size > count * 20 * 64
            return highest

        peak(10)
        assert peak(4_000) < 2 * peak(400)

    def test_of_a_run_does_not_grow_with_the_list(
        self, empty_world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fresh_claims(self: witness.Witness, scope: str) -> Iterator[evidence.Claim]:
            """Make each claim only when it is asked for, as a cursor on the server does."""
            for claim in empty_world.claims:
                yield claim._replace(script_pubkey=bytes(bytearray(claim.script_pubkey)))

        monkeypatch.setattr(witness.Witness, "claims", fresh_claims)
        monkeypatch.setattr(tables, "BATCH", 500)
        peaks = []
        for number, count in ((1, 5_000), (2, 20_000)):
            empty_world.deposit(number, 10_000_000_000)
            for part in range(count // 500):
                serial = number * 1_000 + part
                empty_world.pay(serial, serial * 500, [1_000 + n for n in range(500)])
            tracemalloc.start()
            found = reconcile()
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            assert (found.status, found.counts["matched"]) == (RunStatus.CLEAN, len(empty_world.claims))
        assert len(empty_world.claims) == 25_000
        assert peaks[1] < 1.5 * peaks[0]
