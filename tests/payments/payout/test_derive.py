"""States from facts: a table of what blocks say and where payouts then stand, and the same from any order of blocks."""

import hashlib
from dataclasses import dataclass

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from ledger import audit
from ledger.models import AuditEvent, Door
from payments.models import Alarm, Block, Coin, Payout, PayoutKind, PayoutTx, Program, Reservation
from payments.payout import derive, facts
from payments.states import PayoutStatus as S
from tests import factories

pytestmark = pytest.mark.django_db

TIP = 500
OURS, VOID, STRANGER = "ours", "void", "stranger"


@pytest.fixture
def tip(program: Program) -> Block:
    return make_block(TIP)


def make_block(height: int) -> Block:
    """An active block."""
    digest = hashlib.sha256(f"block {height}".encode()).hexdigest()
    below = hashlib.sha256(f"block {height - 1}".encode()).hexdigest()
    return Block.objects.create(block_hash=digest, prev_hash=below, height=height, time=timezone.now())


def make_payout(program: Program, status: str, *, has_void: bool = False) -> Payout:
    """A payout without payments on one coin of ours: an original that is signed and, if asked for, a void."""
    serial = Payout.objects.count()
    coin = hashlib.sha256(f"coin {serial}".encode()).hexdigest()
    payout = Payout.objects.create(
        kind=PayoutKind.CONSOLIDATION,
        wallet=program.wallet,
        status=status,
        payment_count=0,
        payments_sat=0,
        manifest_hash=bytes(32),
        anchor_txid=coin,
        anchor_vout=0,
    )
    Reservation.objects.create(
        payout=payout, position=0, txid=coin, vout=0, amount_sat=10_000, script_pubkey=b"\x00"
    )
    Coin.objects.create(
        wallet=program.wallet,
        txid=coin,
        vout=0,
        amount_sat=10_000,
        script_pubkey=b"\x00",
        is_coinbase=False,
        block_hash="00" * 32,
        block_height=1,
    )
    for kind in ("original", "void") if has_void else ("original",):
        payout.current = PayoutTx.objects.create(
            payout=payout,
            kind=kind,
            txid=txid_of(payout, OURS if kind == "original" else VOID),
            unsigned_tx=b"",
            raw=b"signed",
            fee_sat=0,
            fee_added_sat=0,
            change_sat=0,
            vsize_vb=100,
            feerate_sat_kvb=0,
        )
    payout.save(update_fields=["current"])
    return payout


def give_payment(payout: Payout, officer: User) -> None:
    """Let the payout pay one person."""
    listed = factories.make_disbursement(payout.wallet.program, officer, amounts_sat=[9_000])
    Payout.objects.filter(pk=payout.pk).update(
        kind=PayoutKind.PAYMENTS, disbursement=listed, payment_count=1, payments_sat=9_000
    )
    listed.payments.update(payout=payout, vout=0, script_pubkey=b"\x00")


def txid_of(payout: Payout, who: str) -> str:
    return hashlib.sha256(f"{who} {payout.pk}".encode()).hexdigest()


def spend(payout: Payout, who: str, height: int) -> None:
    """Let a block hold a tx that spends the payout's coin, as the follower would write it down."""
    block = Block.objects.filter(height=height, is_active=True).first() or make_block(height)
    txid = txid_of(payout, who)
    Coin.objects.filter(txid=payout.anchor_txid).update(spent_by_txid=txid, spent_block_hash=block.block_hash)
    if who != STRANGER:
        Payout.objects.filter(pk=payout.pk).update(
            mined_txid=txid, mined_block_hash=block.block_hash, mined_height=height
        )


def unspend(payout: Payout) -> None:
    """Take that block's word back."""
    Coin.objects.filter(txid=payout.anchor_txid).update(spent_by_txid=None, spent_block_hash=None)
    Payout.objects.filter(pk=payout.pk).update(mined_txid=None, mined_block_hash=None, mined_height=None)


ALIVE = (S.COMMITTED, S.SIGNED, S.SENT)
# Before, has it a void, who spends its coin, how deep; after. Depth 1 settles a payout that is of no list.
TABLE = [
    *((old, False, None, 0, old) for old in (*ALIVE, S.FROZEN, S.SEALED, S.UNSEALED)),
    *((old, False, OURS, 1, S.SETTLED) for old in (*ALIVE, S.FROZEN, S.MINED, S.SETTLED)),
    *((old, True, OURS, 1, S.SETTLED) for old in (S.VOIDING, S.FROZEN)),
    *((old, False, None, 0, S.SENT) for old in (S.MINED, S.SETTLED)),
    *((old, True, None, 0, S.VOIDING) for old in (S.MINED, S.SETTLED, S.VOIDING, S.VOIDED)),
    *((old, False, STRANGER, 99, S.FROZEN) for old in (*ALIVE, S.FROZEN, S.MINED, S.SETTLED, S.VOIDED)),
    *((old, False, STRANGER, 100, S.VOIDED) for old in (*ALIVE, S.FROZEN, S.MINED, S.SETTLED, S.VOIDED)),
    *((old, True, STRANGER, 1, S.FROZEN) for old in (S.VOIDING, S.MINED, S.FROZEN)),
    *((old, True, VOID, 99, S.VOIDING) for old in (S.VOIDING, S.MINED, S.SETTLED, S.VOIDED)),
    *((old, True, VOID, 100, S.VOIDED) for old in (S.VOIDING, S.FROZEN, S.VOIDED, S.MINED)),
    (S.VOIDED, False, None, 0, S.FROZEN),
]


class TestDerive:
    @pytest.mark.parametrize(("old", "has_void", "who", "depth", "new"), TABLE)
    def test_moves_a_payout_to_where_the_facts_say_it_is(
        self, old: str, has_void: bool, who: str | None, depth: int, new: str, program: Program, tip: Block
    ) -> None:
        payout = make_payout(program, old, has_void=has_void)
        if who is not None:
            spend(payout, who, TIP + 1 - depth)
        if who is None and old == S.VOIDED and not has_void:
            # Nobody spends it any more; that alarms, and is left to people.
            derive.derive()
            assert Alarm.objects.filter(code="void_undone").count() == 1
        derive.derive()
        payout.refresh_from_db()
        assert payout.status == new
        assert facts.list_steps(TIP) == []

    def test_leaves_a_payout_mined_until_its_program_is_content(self, program: Program, tip: Block) -> None:
        payout = make_payout(program, S.SENT)
        spend(payout, OURS, TIP + 1)
        assert facts.list_steps(TIP) == [facts.Step(payout.pk, S.SENT, S.MINED)]

    def test_goes_on_at_the_same_tip_when_its_rounds_did_not_suffice(
        self, program: Program, tip: Block, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(derive, "MOST_ROUNDS", 1)
        payout = make_payout(program, S.SENT)
        spend(payout, OURS, TIP)
        for status, is_derived in ((S.MINED, False), (S.SETTLED, False), (S.SETTLED, True)):
            derive.derive()
            payout.refresh_from_db()
            tip.refresh_from_db()
            assert (payout.status, tip.is_derived) == (status, is_derived)

    @pytest.mark.parametrize("is_child", [True, False])
    def test_gives_up_what_spends_a_version_that_lost_once_the_winner_is_final(
        self, program: Program, officer: User, tip: Block, is_child: bool
    ) -> None:
        """A child, or a payout whose confirmed coin a reorganization replaced by that of another version."""
        parent = make_payout(program, S.SENT)
        bump_txid = hashlib.sha256(b"bump").hexdigest()
        PayoutTx.objects.create(
            payout=parent,
            kind="bump",
            txid=bump_txid,
            unsigned_tx=b"",
            raw=b"signed too",
            fee_sat=0,
            fee_added_sat=0,
            change_sat=0,
            vsize_vb=100,
            feerate_sat_kvb=0,
        )
        child = make_payout(program, S.SENT)
        if is_child:
            Payout.objects.filter(pk=child.pk).update(kind=PayoutKind.CHILD, parent=parent)
        else:
            give_payment(child, officer)
        Coin.objects.filter(txid=child.anchor_txid).delete()
        Reservation.objects.filter(payout=child).update(txid=bump_txid)
        for depth, status in ((99, S.SENT), (100, S.VOIDED)):
            spend(parent, OURS, TIP + 1 - depth)
            Block.objects.update(is_derived=False)
            derive.derive()
            child.refresh_from_db()
            assert child.status == status
        assert Reservation.objects.filter(payout=child, is_live=True).count() == 0

    def test_does_not_give_up_what_spends_the_change_of_a_void(
        self, program: Program, officer: User, tip: Block
    ) -> None:
        given_up = make_payout(program, S.VOIDING, has_void=True)
        spend(given_up, VOID, TIP + 1 - 100)
        after = make_payout(program, S.SENT)
        give_payment(after, officer)
        void_txid = txid_of(given_up, VOID)
        Coin.objects.filter(txid=after.anchor_txid).update(txid=void_txid)
        Reservation.objects.filter(payout=after).update(txid=void_txid)
        for _ in range(2):
            derive.derive()
            Block.objects.update(is_derived=False)
        statuses = dict(Payout.objects.values_list("pk", "status"))
        assert statuses == {given_up.pk: S.VOIDED, after.pk: S.SENT}

    def test_sees_a_void_that_a_very_long_branch_put_in_the_place_of_a_settled_payout(
        self, program: Program, tip: Block
    ) -> None:
        payout = make_payout(program, S.SETTLED, has_void=True)
        spend(payout, VOID, TIP + 1 - 101)
        derive.derive()
        payout.refresh_from_db()
        assert payout.status == S.VOIDED

    def test_asks_nothing_of_payouts_at_a_tip_where_it_was_done(self, program: Program, tip: Block) -> None:
        for _ in range(3):
            make_payout(program, S.SENT)
        derive.derive()
        with CaptureQueriesContext(connection) as asked:
            derive.derive()
        # The tip, and lists to complete and to open again; the rest opens and closes the database transaction.
        assert len([query for query in asked if "SAVEPOINT" not in query["sql"]]) == 3

    def test_records_each_payout_that_it_moves_as_the_engines(self, program: Program, tip: Block) -> None:
        moved = [make_payout(program, S.SENT) for _ in range(2)]
        for payout in moved:
            spend(payout, OURS, TIP)
        with audit.through(Door.TASK, actor=audit.ENGINE, request_id="a-task"):
            derive.derive()
        events = AuditEvent.objects.filter(action="payout.settled").order_by("pk")
        assert [
            (row.subject, row.actor, row.door, row.scope, row.request_id, bytes(row.after_sha256 or b""))
            for row in events
        ] == [
            (f"payout:{payout.pk}", "engine", "task", program.scope, "a-task", audit.digest(payout))
            for payout in moved
        ]
        assert all(row.before_sha256 not in (None, row.after_sha256) for row in events)

    def test_takes_as_many_queries_for_many_as_for_few(self, program: Program, tip: Block) -> None:
        counts = []
        for number in (2, 20):
            for payout in [make_payout(program, S.SENT) for _ in range(number)]:
                spend(payout, OURS, TIP)
            Block.objects.update(is_derived=False)
            with CaptureQueriesContext(connection) as asked:
                derive.derive()
            counts.append(len(asked))
        assert counts[0] == counts[1]
        assert Payout.objects.filter(status=S.SETTLED).count() == 22


@dataclass
class Move:
    """What the chain does next to one of three payouts."""

    payout: int
    who: str | None
    depth: int


MOVES = st.builds(
    Move,
    payout=st.integers(0, 2),
    who=st.sampled_from([OURS, VOID, STRANGER, None]),
    depth=st.sampled_from([1, 2, 50, 99, 100, 101]),
)


class TestReplay(TestCase):
    """Whatever the chain did on the way, the last facts alone say where a payout stands."""

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(MOVES, max_size=12))
    def test_of_the_last_facts_gives_the_same_statuses(self, moves: list[Move]) -> None:
        program = factories.make_program()
        make_block(TIP)
        payouts = [make_payout(program, S.SENT if n else S.VOIDING, has_void=n == 0) for n in range(3)]
        for move in moves:
            payout = payouts[move.payout]
            unspend(payout)
            if move.who is not None and not (move.who == VOID and move.payout):
                spend(payout, move.who, TIP + 1 - move.depth)
            Block.objects.update(is_derived=False)
            derive.derive()
        on_the_way = dict(Payout.objects.values_list("pk", "status"))
        for payout in payouts:
            Payout.objects.filter(pk=payout.pk).update(status=payout.status)
        Block.objects.update(is_derived=False)
        derive.derive()
        for pk, status in Payout.objects.values_list("pk", "status"):
            # A frozen payout waits for people when its reason is gone; everything else is the facts'.
            assert on_the_way[pk] in (status, S.FROZEN)
            if on_the_way[pk] != status:
                assert status in (S.SENT, S.VOIDING)
