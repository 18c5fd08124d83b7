"""The rules of reconciliation over made-up evidence: what is clean, and no proof from bad sources."""

import io
import tracemalloc
from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from psycopg.conninfo import conninfo_to_dict

from govpay.errors import NotFound, Unavailable
from ledger import books, chart
from ledger.models import BreakKind, Entry, Posting, ReconciliationRun, RunStatus, RunUnderWay
from ledger.reconciliation import evidence, progress, service, tables
from ledger.reconciliation.spool import Spool
from tests import services
from tests.ledger import witness
from tests.ledger.witness import FEE_SAT, SCOPE, World, book, digest_of, outcomes, reconcile, script_of

pytestmark = pytest.mark.django_db(transaction=True)

ACCOUNTS = chart.program_accounts(witness.PROGRAM)
HONEST = {"claims": 5, "matched": 3, "in_flight": 2}


class TestReconcile:
    def test_is_clean_where_all_agree(self, world: World) -> None:
        found = reconcile()
        assert (found.status, found.reason) == (RunStatus.CLEAN, "")
        assert found.counts == {
            **dict.fromkeys(BreakKind.values, 0),
            "claims": 5,
            "matched": 3,
            "in_flight": 2,
        }
        assert found.totals == {
            "claimed_sat": 1_500,
            "matched_sat": 600,
            "in_flight_sat": 900,
            "wallet_booked_sat": 1_000_000 - 1_500 - 2 * FEE_SAT,
            "wallet_leaving_sat": 900 + FEE_SAT,
            "wallet_explained_sat": 0,
            "entries": 3,
            "wallet_unspent_sat": 1_000_000 - 600 - FEE_SAT,
            "wallet_unspent_count": 1,
        }
        assert (found.block_hash, found.block_height) == (world.block_hash, 100)
        assert found.breaks.count() == 0

    def test_is_clean_where_nothing_happened_yet(self, empty_world: World) -> None:
        found = reconcile()
        assert (found.status, outcomes(found)) == (RunStatus.CLEAN, {})

    def test_takes_settlement_for_no_difference(self, world: World) -> None:
        world.settle(1)
        assert reconcile().status == RunStatus.CLEAN

    def test_takes_a_deposit_that_came_back_after_its_reversal(self, world: World) -> None:
        entry = Entry.objects.get(kind="funding")
        now = timezone.now()
        books.reverse(entry.pk, idempotency_key="gone", effective_at=now, memo="", actor="engine")
        assert outcomes(reconcile()) == {
            "claims": 5, "matched": 3, "in_flight": 2, "unknown_in": 1
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
        said: list[tuple[str, int, int]] = []
        service.reconcile(scope=None, now=timezone.now(), hear=lambda *step: said.append(step))
        assert said == [
            (f"{SCOPE}: reading blocks", 0, 0),
            (f"{SCOPE}: asking the node for what is unspent at block 100", 0, 0),
            (f"{SCOPE}: comparing", 0, 0),
        ]

    def test_shows_how_far_it_is_until_it_is_stored(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(progress, "EVERY_S", 0)
        for _ in range(2):
            world.mine()
        seen: list[tuple[str, int, int]] = []
        service.reconcile(
            scope=None,
            now=timezone.now(),
            is_full=True,
            hear=lambda *_: seen.extend(
                RunUnderWay.objects.filter(scope=SCOPE, is_full=True).values_list("step", "done", "total")
            ),
        )
        # What is heard is in the row a moment later.
        assert seen == [
            ("", 0, 0),
            ("reading blocks", 0, 0),
            ("reading blocks", 1, 3),
            ("reading blocks", 2, 3),
            ("reading blocks", 3, 3),
            ("asking the node for what is unspent at block 102", 0, 0),
        ]
        assert RunUnderWay.objects.count() == 0

    def test_leaves_nothing_under_way_where_it_proved_nothing(self, world: World) -> None:
        world.failures = [evidence.SourceTooOld("Two days old.")]
        assert reconcile().status == RunStatus.INCONCLUSIVE
        assert RunUnderWay.objects.count() == 0

    def test_forgets_runs_whose_process_died(self, world: World) -> None:
        now = timezone.now()
        for scope, age in (
            (SCOPE, timedelta(hours=25)),
            (SCOPE, timedelta(hours=1)),
            ("program:8", timedelta(9)),
        ):
            RunUnderWay.objects.create(scope=scope, is_full=True, started_at=now - age, seen_at=now - age)
        reconcile()
        assert list(RunUnderWay.objects.order_by("pk").values_list("scope", "started_at")) == [
            (SCOPE, now - timedelta(hours=1)),
            ("program:8", now - timedelta(9)),
        ]


class TestDigest:
    def test_is_the_same_for_the_same_facts(self, world: World) -> None:
        assert bytes(reconcile().digest) == bytes(reconcile().digest)

    def test_changes_with_a_break(self, world: World) -> None:
        clean = bytes(reconcile(is_full=True).digest)
        world.bend_output(digest_of("payout", 1), 1, script_pubkey=script_of("thief"))
        one = bytes(reconcile(is_full=True).digest)
        world.bend_output(digest_of("payout", 1), 1, script_pubkey=script_of("another thief"))
        assert len({clean, one, bytes(reconcile(is_full=True).digest)}) == 3


class TestSources:
    def assert_inconclusive(self, reason: str) -> None:
        found = reconcile()
        assert (found.status, found.reason) == (RunStatus.INCONCLUSIVE, reason)
        assert (found.counts, found.totals, found.block_hash) == ({"stale_source": 1}, {}, "")
        assert [(one.kind, one.message) for one in found.breaks.all()] == [("stale_source", reason)]

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
        assert world.reads == [1, 0, 1, 0]

    def test_that_never_stand_still_are_inconclusive(self, world: World) -> None:
        world.moves = ["node"] * service.ATTEMPTS
        self.assert_inconclusive(
            f"The node moved from block {world.block_hash} to {digest_of('another block')}."
        )

    def test_that_fork_are_read_from_the_start(self, world: World) -> None:
        world.forks = 1
        found = reconcile()
        assert (found.status, outcomes(found)) == (RunStatus.CLEAN, HONEST)
        assert world.reads == [1, 1]


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
        assert (found.status, outcomes(found)) == (RunStatus.CLEAN, HONEST)


class TestMemory:
    def test_of_the_spool_does_not_grow_with_the_chain(self) -> None:
        def peak(count: int) -> int:
            spool = Spool(1)
            tracemalloc.start()
            spool.add(
                evidence.ChainBlock(
                    n,
                    digest_of("block"),
                    n,
                    (
                        evidence.ChainTx(
                            digest_of(n),
                            1,
                            tuple(evidence.ChainOutput(v, script_of(v), 1, True) for v in range(20)),
                            (),
                        ),
                    ),
                )
                for n in range(count)
            )
            size = sum(len(chunk) for chunk in spool.chunks("ledger_readoutput"))
            highest = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            spool.close()
            assert size > count * 20 * 64
            return highest

        peak(10)
        assert peak(4_000) < 2 * peak(400)

    def test_of_a_full_run_does_not_grow_with_the_list(
        self, empty_world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fresh_claims(
            self: witness.Witness, scope: str, only: Sequence[int] | None
        ) -> Iterator[evidence.Claim]:
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
            found = reconcile(is_full=True)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            assert (found.status, found.counts["matched"]) == (RunStatus.CLEAN, len(empty_world.claims))
        assert len(empty_world.claims) == 25_000
        assert peaks[1] < 1.5 * peaks[0]
