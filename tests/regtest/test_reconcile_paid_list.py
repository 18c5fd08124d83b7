"""A paid list on a real node, reconciled: clean while all agree, and the exact break once somebody tampers."""

from collections.abc import Callable

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from deploy.local.regtest import to_btc
from deploy.local.rpc import Rpc
from ledger import books, chart
from ledger.models import Case, Entry, ReconciliationRun, RunStatus
from ledger.reconciliation import cases, service, suspense
from payments.models import Coin, Payment, Payout
from payments.onchain import node
from payments.payout import dispatch
from payments.payout.follow import FOLLOWER_LOCK
from tests import factories, sessions
from tests.regtest.ministry import Ministry, follow, use_node

pytestmark = pytest.mark.django_db(transaction=True)

DEPOSITS_SAT = [1_000_000, 2_000_000]
AMOUNTS_SAT = [10_000, 20_000, 30_000]


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "WAIT_S", 0)


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=DEPOSITS_SAT)


@pytest.fixture
def payout(ministry: Ministry) -> Payout:
    """A payout of three payments in a block."""
    (payout,) = ministry.pay(ministry.release(AMOUNTS_SAT))
    ministry.mine(1)
    payout.refresh_from_db()
    return payout


def reconcile(ministry: Ministry, *, is_full: bool = False) -> ReconciliationRun:
    (run,) = service.reconcile(scope=ministry.program.scope, now=timezone.now(), is_full=is_full)
    return run


def outcomes(run: ReconciliationRun) -> dict[str, int]:
    """What occurred at all."""
    return {outcome: count for outcome, count in run.counts.items() if count}


def tamper(statement: str, *values: object) -> None:
    """Change a row behind the product's back."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        assert cursor.rowcount == 1


def post(ministry: Ministry, debit: str, credit: str, reference: int | None = None, ref: str = "") -> None:
    """Book 500 sat that nothing on the chain explains."""
    accounts = chart.program_accounts(ministry.program.pk)._asdict()
    books.post(
        [
            books.Draft(
                kind="tampered",
                scope=ministry.program.scope,
                idempotency_key="tampered",
                lines=[books.Line(accounts[debit], 500, reference), books.Line(accounts[credit], -500)],
                effective_at=timezone.now(),
                source_ref=ref,
                actor="tester",
            )
        ]
    )


def reverse(**which: object) -> None:
    entry = Entry.objects.filter(**which).latest("pk")
    books.reverse(
        entry.pk,
        idempotency_key="tampered",
        effective_at=timezone.now(),
        memo="Tampered with.",
        actor="intruder",
    )


class TestAgreement:
    def test_is_clean_before_anything_was_paid(self, ministry: Ministry) -> None:
        run = reconcile(ministry)
        assert (run.status, outcomes(run)) == (RunStatus.CLEAN, {})
        assert run.totals["wallet_booked_sat"] == run.totals["wallet_unspent_sat"] == 3_000_000
        assert run.totals["wallet_unspent_count"] == 2
        assert run.block_hash == ministry.miner.node.call("getbestblockhash")

    def test_counts_what_is_in_no_block_as_in_flight(self, ministry: Ministry) -> None:
        (payout,) = ministry.pay(ministry.release(AMOUNTS_SAT))
        run = reconcile(ministry)
        assert (run.status, outcomes(run)) == (RunStatus.CLEAN, {"claims": 3, "in_flight": 3})
        assert run.totals["in_flight_sat"] == 60_000
        assert run.totals["wallet_leaving_sat"] == 60_000 + payout.current.fee_sat
        assert run.totals["wallet_booked_sat"] == 3_000_000 - 60_000 - payout.current.fee_sat
        assert run.totals["wallet_unspent_sat"] == 3_000_000

    @pytest.mark.parametrize("blocks", [0, 5])
    def test_is_clean_while_mined_and_once_settled(
        self, ministry: Ministry, payout: Payout, blocks: int
    ) -> None:
        ministry.mine(blocks)
        run = reconcile(ministry)
        assert (run.status, outcomes(run)) == (RunStatus.CLEAN, {"claims": 3, "matched": 3})
        assert run.totals["matched_sat"] == 60_000
        assert run.totals["wallet_unspent_sat"] == 3_000_000 - 60_000 - payout.current.fee_sat

    def test_is_clean_after_a_reorganization_that_mined_all_again(
        self, ministry: Ministry, payout: Payout
    ) -> None:
        old = reconcile(ministry)
        ministry.miner.reorg(2, 3)
        dispatch.follow()
        run = reconcile(ministry)
        assert (run.status, outcomes(run)) == (RunStatus.CLEAN, {"claims": 3, "matched": 3})
        assert run.block_hash != old.block_hash

    def test_is_in_flight_again_after_a_reorganization_that_forgot_it(
        self, ministry: Ministry, payout: Payout
    ) -> None:
        ministry.miner.reorg(1, 2, with_mempool=False)
        dispatch.follow()
        run = reconcile(ministry)
        assert (run.status, outcomes(run)) == (RunStatus.CLEAN, {"claims": 3, "in_flight": 3})

    def test_gives_the_same_digest_for_the_same_facts(self, ministry: Ministry, payout: Payout) -> None:
        first, second = reconcile(ministry), reconcile(ministry)
        assert bytes(first.digest) == bytes(second.digest)
        assert first.pk != second.pk


class TestIncrements:
    def agree(self, ministry: Ministry) -> ReconciliationRun:
        """An increment and a full run at the same block find the same."""
        increment, full = reconcile(ministry), reconcile(ministry, is_full=True)
        assert (increment.is_full, full.is_full) == (False, True)
        assert (increment.counts, increment.totals) == (full.counts, full.totals)
        assert bytes(increment.digest) == bytes(full.digest)
        return increment

    def test_agree_with_full_runs_through_a_payouts_life(self, ministry: Ministry) -> None:
        reconcile(ministry)
        (payout,) = ministry.pay(ministry.release(AMOUNTS_SAT))
        assert outcomes(self.agree(ministry)) == {"claims": 3, "in_flight": 3}
        ministry.mine(1)
        assert outcomes(self.agree(ministry)) == {"claims": 3, "matched": 3}
        ministry.mine(6)
        (other,) = ministry.pay(ministry.release([40_000], period="2026-12"))
        assert outcomes(self.agree(ministry)) == {"claims": 4, "matched": 3, "in_flight": 1}
        ministry.mine(1)
        assert outcomes(self.agree(ministry)) == {"claims": 4, "matched": 4}
        assert {payout.wallet_id, other.wallet_id} == {ministry.program.wallet.pk}

    def test_agree_after_a_reorganization_between_them(self, ministry: Ministry) -> None:
        reconcile(ministry)
        ministry.pay(ministry.release(AMOUNTS_SAT))
        ministry.mine(1)
        ministry.deposit([50_000])
        assert outcomes(self.agree(ministry)) == {"claims": 3, "matched": 3}
        ministry.miner.reorg(2, 3, with_mempool=False)
        follow(ministry.miner)
        found = self.agree(ministry)
        assert (found.status, outcomes(found)) == (RunStatus.CLEAN, {"claims": 3, "in_flight": 3})
        assert found.totals["wallet_unspent_sat"] == 3_000_000
        ministry.mine(1)
        assert outcomes(self.agree(ministry)) == {"claims": 3, "matched": 3}

    def test_read_only_new_blocks(self, ministry: Ministry, monkeypatch: pytest.MonkeyPatch) -> None:
        reconcile(ministry)
        asked: list[str] = []
        raw_block = node.Node.raw_block
        monkeypatch.setattr(
            node.Node, "raw_block", lambda self, block: asked.append(block) or raw_block(self, block)
        )
        reconcile(ministry)
        assert asked == []
        ministry.mine(2)
        asked.clear()
        reconcile(ministry)
        assert len(asked) == 2

    def test_book_a_lost_coin_to_suspense_and_to_losses_by_two_people(
        self, ministry: Ministry, payout: Payout
    ) -> None:
        reconcile(ministry)
        spend_a_deposit(ministry, ministry.miner.make_address())
        reconcile(ministry)
        case = Case.objects.get()
        first, second = (factories.make_user(name, cases.RIGHT) for name in ("dalia", "omar"))
        cases.propose(by=first, case_id=case.pk, resolution="suspense", note="Somebody has the keys.")
        cases.approve(by=second, case_id=case.pk, proposal=1)
        found = self.agree(ministry)
        assert (found.status, found.break_count) == (RunStatus.CLEAN, 0)
        case.refresh_from_db()
        assert (case.status, case.amount_sat) == ("suspended", suspense.standing_sat(case) * -1)
        lost = cases.propose(
            by=second,
            case_id=case.pk,
            resolution="account",
            note="It was stolen.",
            account=chart.losses_account(case.scope),
            evidence_sha256=bytes(32),
        )
        cases.approve(by=first, case_id=case.pk, proposal=lost.proposal)
        assert (self.agree(ministry).status, suspense.standing_sat(case)) == (RunStatus.CLEAN, 0)
        assert books.balance(chart.losses_account(case.scope)) == -case.amount_sat
        case.refresh_from_db()
        assert case.status == "closed"


def change_amount(ministry: Ministry, payout: Payout) -> None:
    tamper("UPDATE payments_payment SET amount_sat = 10001 WHERE payout_id = %s AND vout = 0", payout.pk)


def change_payee(ministry: Ministry, payout: Payout) -> None:
    tamper(
        "UPDATE payments_payment SET script_pubkey = %s WHERE payout_id = %s AND vout = 1",
        b"\x00\x14" + b"\x07" * 20,
        payout.pk,
    )


def drop_claim(ministry: Ministry, payout: Payout) -> None:
    tamper(
        "UPDATE payments_payment SET payout_id = NULL, vout = NULL WHERE payout_id = %s AND vout = 2",
        payout.pk,
    )


def move_claim(ministry: Ministry, payout: Payout) -> None:
    """Claim an output that the tx does not have."""
    tamper("UPDATE payments_payment SET vout = 99 WHERE payout_id = %s AND vout = 2", payout.pk)


def change_change(ministry: Ministry, payout: Payout) -> None:
    tamper(
        "UPDATE payments_changeoutput SET amount_sat = amount_sat - 1 WHERE version_id = %s AND vout = 4",
        payout.current_id,
    )


def book_a_ghost(ministry: Ministry, payout: Payout) -> None:
    post(ministry, "in_transit", "appropriation", reference=987_654_321)


def book_more(ministry: Ministry, payout: Payout) -> None:
    payment = Payment.objects.get(payout=payout, vout=0)
    post(ministry, "in_transit", "appropriation", reference=payment.pk)


def book_a_fee(ministry: Ministry, payout: Payout) -> None:
    post(ministry, "network_fees", "appropriation", ref=f"payout:{payout.pk}")


def book_money_from_nowhere(ministry: Ministry, payout: Payout) -> None:
    post(ministry, "hot_wallet", "appropriation")


def book_a_deposit_that_never_came(ministry: Ministry, payout: Payout) -> None:
    post(ministry, "hot_wallet", "appropriation", ref=f"outpoint:{'ab' * 32}:1")


def unbook_the_payout(ministry: Ministry, payout: Payout) -> None:
    reverse(kind="payout_sent")


def unbook_the_settlement(ministry: Ministry, payout: Payout) -> None:
    ministry.mine(5)
    reverse(kind="settlement")


def settle_in_the_books(ministry: Ministry, payout: Payout) -> None:
    """Book what is not final yet as settled."""
    post(ministry, "payable", "in_transit", ref=f"payout:{payout.pk}")


def unbook_a_deposit(ministry: Ministry, payout: Payout) -> None:
    reverse(kind="funding")


def spend_a_deposit(ministry: Ministry, address: str) -> None:
    """Whoever has the node's wallet spends a deposit, past the product."""
    coin = Coin.objects.filter(spent_by_txid=None, funding_entry_id__isnull=False).get()
    wallet = Rpc(settings.GOVPAY_NODE_URL, wallet=ministry.program.wallet.name)
    funded = wallet.call(
        "walletcreatefundedpsbt",
        inputs=[{"txid": coin.txid, "vout": coin.vout}],
        outputs=[{address: to_btc(coin.amount_sat)}],
        options={"add_inputs": False, "subtractFeeFromOutputs": [0], "fee_rate": "2"},
    )
    final = wallet.call("finalizepsbt", wallet.call("walletprocesspsbt", funded["psbt"])["psbt"])
    wallet.call("sendrawtransaction", final["hex"])
    ministry.mine(1)


def spend_a_coin_elsewhere(ministry: Ministry, payout: Payout) -> None:
    spend_a_deposit(ministry, ministry.miner.make_address())


def spend_a_coin_to_ourselves(ministry: Ministry, payout: Payout) -> None:
    """Both the spend and what came back are unknown, and the fee is gone."""
    spend_a_deposit(ministry, ministry.funding_address())


CASES: list[tuple[Callable[[Ministry, Payout], None], dict[str, int]]] = [
    (change_amount, {"claims": 3, "matched": 2, "amount": 1}),
    (change_payee, {"claims": 3, "matched": 2, "payee": 1}),
    (drop_claim, {"claims": 2, "matched": 2, "unauthorized_spend": 1, "ledger_only": 1}),
    (move_claim, {"claims": 3, "matched": 2, "unauthorized_spend": 1, "missing": 1}),
    (change_change, {"claims": 3, "matched": 3, "unauthorized_spend": 1}),
    (book_a_ghost, {"claims": 3, "matched": 3, "ledger_only": 1}),
    (book_more, {"claims": 3, "matched": 2, "amount": 1}),
    (book_a_fee, {"claims": 3, "matched": 3, "fee": 1}),
    (book_money_from_nowhere, {"claims": 3, "matched": 3, "orphan_entry": 1}),
    (book_a_deposit_that_never_came, {"claims": 3, "matched": 3, "ledger_only": 1}),
    (unbook_the_payout, {"claims": 3, "unbooked": 3, "fee": 1}),
    (unbook_the_settlement, {"claims": 3, "matched": 3, "settlement": 1}),
    (settle_in_the_books, {"claims": 3, "matched": 3, "settlement": 1}),
    (unbook_a_deposit, {"claims": 3, "matched": 3, "unknown_in": 1}),
    (spend_a_coin_elsewhere, {"claims": 3, "matched": 3, "unknown_out": 1}),
    (spend_a_coin_to_ourselves, {"claims": 3, "matched": 3, "unknown_out": 1, "unknown_in": 1}),
]


class TestTampering:
    @pytest.mark.parametrize(("act", "expected"), CASES, ids=[act.__name__ for act, _ in CASES])
    def test_is_found_exactly(
        self,
        ministry: Ministry,
        payout: Payout,
        act: Callable[[Ministry, Payout], None],
        expected: dict[str, int],
    ) -> None:
        """By an increment, which is told of every change, and by a full run."""
        assert reconcile(ministry).status == RunStatus.CLEAN
        act(ministry, payout)
        increment = reconcile(ministry)
        run = reconcile(ministry, is_full=True)
        assert (run.status, outcomes(run)) == (RunStatus.BREAKS, expected)
        assert (increment.is_full, run.is_full) == (False, True)
        assert bytes(increment.digest) == bytes(run.digest)
        kinds = [kind for kind in expected if kind not in ("claims", "matched")]
        assert sorted(run.breaks.values_list("kind", flat=True)) == sorted(
            kind for kind in kinds for _ in range(expected[kind])
        )

    def test_with_the_record_of_a_block_shows_every_payment_missing(self, ministry: Ministry) -> None:
        (payout,) = ministry.pay(ministry.release(AMOUNTS_SAT))
        tamper(
            "UPDATE payments_payout SET mined_txid = %s, mined_height = 1 WHERE id = %s",
            payout.current.txid,
            payout.pk,
        )
        run = reconcile(ministry)
        assert (run.status, outcomes(run)) == (RunStatus.BREAKS, {"claims": 3, "missing": 3})

    def test_names_the_place_and_both_sides(self, ministry: Ministry, payout: Payout) -> None:
        change_amount(ministry, payout)
        (found,) = reconcile(ministry).breaks.all()
        payment = Payment.objects.get(payout=payout, vout=0)
        assert (found.payment_id, found.payout_id) == (payment.pk, payout.pk)
        assert (found.txid, found.vout) == (payout.current.txid, 0)
        assert (found.expected, found.found) == ("10001", "10000")
        assert found.message == f"Payment {payment.pk} is paid 10000 sat instead of 10001."

    def test_with_one_program_leaves_the_others_clean(self, ministry: Ministry, payout: Payout) -> None:
        other = Ministry.open(deposits_sat=[500_000], code="OTHER")
        change_amount(ministry, payout)
        runs = service.reconcile(scope=None, now=timezone.now())
        assert {run.scope: run.status for run in runs} == {
            ministry.program.scope: RunStatus.BREAKS,
            other.program.scope: RunStatus.CLEAN,
        }


class TestSources:
    def assert_inconclusive(self, ministry: Ministry, reason: str) -> None:
        run = reconcile(ministry)
        assert run.status == RunStatus.INCONCLUSIVE
        assert reason in run.reason
        assert (run.counts, run.totals, run.block_hash) == ({"stale_source": 1}, {}, "")
        assert [found.kind for found in run.breaks.all()] == ["stale_source"]

    def test_is_inconclusive_while_a_follower_does_not_reach_the_tip(
        self, ministry: Ministry, payout: Payout
    ) -> None:
        ministry.miner.mine(1)
        with sessions.holding(FOLLOWER_LOCK):
            self.assert_inconclusive(ministry, "Another worker still reads the node's newest blocks.")
        assert reconcile(ministry).status == RunStatus.CLEAN

    def test_is_inconclusive_while_the_node_is_down(self, ministry: Ministry, settings: object) -> None:
        settings.GOVPAY_NODE_URL = "http://user:secret@127.0.0.1:9"  # type: ignore[attr-defined]
        self.assert_inconclusive(ministry, "No connection to the node at 127.0.0.1:9.")

    def test_is_inconclusive_on_another_chain(self, ministry: Ministry, settings: object) -> None:
        type(ministry.program).objects.update(network="signet")
        settings.GOVPAY_NETWORK = "signet"  # type: ignore[attr-defined]
        self.assert_inconclusive(ministry, "not signet")
