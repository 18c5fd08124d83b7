"""A wallet's coins on a real node: many small ones, one large one, dust, strangers' deposits, shared scripts.

Each test ends with a clean reconciliation and the independent checker's judgment.
"""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from ledger.reconciliation import service
from payments.models import (
    Alarm,
    ChangeOutput,
    Coin,
    Disbursement,
    Payment,
    Payout,
    PayoutKind,
    Program,
    Reservation,
    ScriptPurpose,
    Step,
    Wallet,
    WalletScript,
)
from payments.onchain import address, fee, network, node, tx
from payments.payout import agreed, coins, consolidate, dispatch, rounds, seal
from payments.selectors import funds
from payments.services import disbursements, policies
from payments.states import DisbursementStatus, PayoutStatus
from tests import factories
from tests.regtest.ministry import Ministry, use_node

pytestmark = pytest.mark.django_db(transaction=True)

# Floor and ceiling are one, so that what the node estimates after earlier tests changes nothing.
RATES = {"feerate_floor_sat_kvb": 2_000, "feerate_ceiling_sat_kvb": 2_000}


@pytest.fixture(autouse=True)
def _node(settings: object, monkeypatch: pytest.MonkeyPatch) -> None:
    use_node(settings)
    monkeypatch.setattr(service, "WAIT_S", 0)


def assert_clean(ministry: Ministry, *, exactly: bool = True) -> None:
    (run,) = service.reconcile(scope=ministry.program.scope, now=timezone.now())
    assert (run.status, run.reason, list(run.breaks.values_list("kind", "message"))) == ("clean", "", [])
    ministry.judge(exactly=exactly)


def open_alarms() -> list[tuple[str, int]]:
    return list(Alarm.objects.filter(closed_at=None).values_list("code", "subject_id"))


def give_many(ministry: Ministry, amounts_sat: list[int], script: bytes | None = None) -> str:
    """Pay all amounts to one of the wallet's scripts in one tx, mine it, and return its txid."""
    miner, own = ministry.miner, ministry.program.wallet.scripts.get(purpose=ScriptPurpose.FUNDING)
    total_sat = sum(amounts_sat) + 50 * len(amounts_sat) * 2 + 10_000
    miner._ensure_coins(total_sat)
    source = max(miner.wallet.call("listunspent"), key=lambda found: found["amount"])
    output = tx.Output(0, script or bytes(own.script_pubkey))
    back = address.script_from_address(miner.make_address(), network.current())
    left_sat = int(source["amount"] * 100_000_000) - total_sat
    unsigned = tx.build_unsigned(
        [tx.OutPoint(source["txid"], source["vout"])],
        [*(output._replace(amount_sat=sat) for sat in amounts_sat), tx.Output(left_sat, back)],
    )
    signed = miner.wallet.call("signrawtransactionwithwallet", unsigned.hex())
    assert signed["complete"]
    miner.mine_only([signed["hex"]])
    dispatch.follow()
    return tx.parse(bytes.fromhex(signed["hex"])).txid


def pay_until_nothing_waits(ministry: Ministry, disbursement: Disbursement) -> list[Payout]:
    """Ring and mine until every payment is in a payout, then bury all of them."""
    for _ in range(20):
        found = ministry.pay(disbursement)
        if not Payment.objects.filter(disbursement=disbursement, payout=None).exists():
            ministry.mine(6)
            return found
        ministry.mine(1)
    raise AssertionError("the list still waits after 20 blocks")


class TestManySmallCoins:
    """L5: 2,000 small utxos, and a list that no 20 of them carry."""

    def test_pay_a_list_in_parts_that_they_carry(self) -> None:
        ministry = Ministry.open(deposits_sat=[], feerate_ceiling_sat_kvb=10_000)
        give_many(ministry, [10_000] * 2_000)
        assert Coin.objects.filter(spent_by_txid=None).count() == 2_000
        disbursement = ministry.release([40_000 + n for n in range(40)])
        payouts = pay_until_nothing_waits(ministry, disbursement)
        disbursement.refresh_from_db()
        assert (disbursement.status, disbursement.problem) == (DisbursementStatus.COMPLETED, "")
        assert sum(payout.payment_count for payout in payouts) == 40
        # Twenty coins carry at most four of these; a group of 40 is halved to that.
        assert {payout.payment_count for payout in payouts} <= {1, 2, 3, 4}
        assert all(payout.reservations.count() <= 20 for payout in payouts)
        assert_clean(ministry)

    def test_too_small_for_one_payment_are_merged_for_it(self) -> None:
        rules = {"consolidate_feerate_sat_kvb": 2_000, "consolidate_budget_daily_sat": 200_000}
        ministry = Ministry.open(deposits_sat=[], **RATES, **rules)
        give_many(ministry, [10_000] * 2_000)
        disbursement = ministry.release([400_000])
        assert ministry.pay(disbursement) == []
        disbursement.refresh_from_db()
        assert disbursement.problem == (
            "A payment of 400000 sat takes more than 20 coins, the most that one payout spends."
            " The coins must be merged by a consolidation, or a larger deposit made."
        )
        assert open_alarms() == [("coins_too_small", disbursement.pk)]
        dispatch.consolidate(wallet_id=ministry.program.wallet.pk)
        merging = Payout.objects.get(kind=PayoutKind.CONSOLIDATION)
        assert merging.reservations.count() == consolidate.MOST_MERGED
        dispatch.advance(payout_id=merging.pk)
        assert ministry.pay(disbursement) == []
        disbursement.refresh_from_db()
        assert "need confirmed coins" in disbursement.problem
        ministry.mine(1)
        (payout,) = ministry.pay(disbursement)
        assert payout.status == PayoutStatus.SENT
        assert open_alarms() == []
        ministry.mine(6)
        merging.refresh_from_db()
        assert merging.status == PayoutStatus.SETTLED
        assert_clean(ministry)

    def test_too_small_for_a_payment_of_money_are_merged_for_it(self) -> None:
        rules = {"consolidate_feerate_sat_kvb": 2_000, "consolidate_budget_daily_sat": 200_000}
        ministry = Ministry.open(deposits_sat=[], currency="PKR", **RATES, **rules)
        factories.fund_cash(ministry.program, 20_000_000)
        give_many(ministry, [10_000] * 400)
        made = factories.make_disbursement(ministry.program, ministry.officer, amounts_minor=[11_240_000])
        made = disbursements.submit(by=ministry.officer, disbursement_id=made.pk)
        agreed_to = bytes(made.manifest_hash or b"")
        disbursements.approve(by=ministry.approver, disbursement_id=made.pk, manifest_hash=agreed_to)
        quote = factories.make_quote(price="28100000")
        made = disbursements.release(
            by=ministry.releaser, disbursement_id=made.pk, manifest_hash=agreed_to, quote_id=quote.pk
        )
        assert ministry.pay(made) == []
        assert open_alarms() == [("coins_too_small", made.pk)]
        dispatch.consolidate(wallet_id=ministry.program.wallet.pk)
        dispatch.advance(payout_id=Payout.objects.get(kind=PayoutKind.CONSOLIDATION).pk)
        ministry.mine(1)
        (payout,) = ministry.pay(made)
        assert (payout.payments_sat, payout.payments_minor) == (400_000, 11_240_000)

    def test_that_would_cost_more_fees_than_were_approved_are_merged_first(self) -> None:
        rules = {"consolidate_feerate_sat_kvb": 2_000, "consolidate_budget_daily_sat": 200_000}
        ministry = Ministry.open(deposits_sat=[], **RATES, **rules)
        give_many(ministry, [10_000] * 600)
        disbursement = ministry.release([40_000 + n for n in range(40)])
        assert ministry.pay(disbursement) == []
        disbursement.refresh_from_db()
        assert disbursement.problem.startswith(
            "The coins are so small that the list would be paid in parts. A fee of "
        )
        dispatch.consolidate(wallet_id=ministry.program.wallet.pk)
        dispatch.advance(payout_id=Payout.objects.get(kind=PayoutKind.CONSOLIDATION).pk)
        ministry.mine(1)
        (payout,) = ministry.pay(disbursement)
        assert payout.payment_count == 40
        ministry.mine(6)
        assert_clean(ministry)

    def test_too_small_without_a_rule_to_merge_say_so_and_wait(self) -> None:
        ministry = Ministry.open(deposits_sat=[], **RATES)
        give_many(ministry, [10_000] * 60)
        disbursement = ministry.release([400_000])
        assert ministry.pay(disbursement) == []
        dispatch.consolidate(wallet_id=ministry.program.wallet.pk)
        wallet = Wallet.objects.get()
        assert wallet.consolidate_problem == "The program has no fee rate up to which coins may be merged."
        assert Payout.objects.count() == Reservation.objects.count() == 0
        ministry.miner.fund([ministry.funding_address()], 500_000)
        ministry.mine(1)
        pay_until_nothing_waits(ministry, disbursement)
        assert_clean(ministry)


class TestOneLargeCoin:
    def test_pays_four_groups_in_parallel_from_the_second_block_on(self) -> None:
        ministry = Ministry.open(deposits_sat=[10_000_000], group_max_payments=5, **RATES)
        disbursement = ministry.release([20_000 + n for n in range(25)])
        (first,) = ministry.pay(disbursement)
        assert first.current.change.count() == 4
        amounts = sorted(first.current.change.values_list("amount_sat", flat=True))
        assert amounts[-1] - amounts[0] < 4
        ministry.mine(1)
        payouts = ministry.pay(disbursement)
        assert len(payouts) == 5
        assert [payout.status for payout in payouts[1:]] == [PayoutStatus.SENT] * 4
        ministry.mine(1)
        # Four coins were spent and four came back.
        assert Coin.objects.filter(spent_by_txid=None).count() == 4
        ministry.mine(5)
        disbursement.refresh_from_db()
        assert disbursement.status == DisbursementStatus.COMPLETED
        assert_clean(ministry)

    def test_is_not_split_into_coins_that_carry_no_group(self) -> None:
        ministry = Ministry.open(deposits_sat=[400_000], group_max_payments=5, **RATES)
        (payout,) = ministry.pay(ministry.release([20_000] * 5))
        # 300,000 sat come back: two coins that carry 100,000 sat and a fee, not three and not four.
        assert payout.current.change.count() == 2
        assert_clean(ministry)

    def test_is_left_whole_when_the_program_wants_one_coin(self) -> None:
        ministry = Ministry.open(deposits_sat=[10_000_000], coins_wanted=1, **RATES)
        (payout,) = ministry.pay(ministry.release([20_000] * 5))
        assert payout.current.change.count() == 1

    def test_with_several_change_outputs_survives_a_reorganization(self) -> None:
        ministry = Ministry.open(deposits_sat=[10_000_000], **RATES)
        (payout,) = ministry.pay(ministry.release([20_000] * 5))
        ministry.mine(1)
        assert_clean(ministry)
        ministry.miner.reorg(1, 2, with_mempool=False)
        dispatch.follow()
        assert Coin.objects.filter(spent_by_txid=None).count() == 1
        assert_clean(ministry, exactly=False)
        dispatch.advance(payout_id=payout.pk)
        ministry.mine(6)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.SETTLED
        assert Coin.objects.filter(spent_by_txid=None).count() == 4
        assert_clean(ministry)


class TestConsolidation:
    RULES = {"consolidate_feerate_sat_kvb": 2_000, "consolidate_budget_daily_sat": 50_000}

    def open(self, **rules: int) -> Ministry:
        ministry = Ministry.open(deposits_sat=[5_000_000], **RATES, **(self.RULES | rules))
        give_many(ministry, [5_000 + n for n in range(30)])
        return ministry

    def problem(self, ministry: Ministry) -> str:
        dispatch.consolidate(wallet_id=ministry.program.wallet.pk)
        return Wallet.objects.get(program=ministry.program).consolidate_problem

    def test_merges_the_smallest_and_keeps_as_many_coins_as_payouts_want(self) -> None:
        ministry = self.open()
        before = funds.of_program(ministry.program.pk)
        assert self.problem(ministry) == ""
        merging = Payout.objects.get()
        # Thirty small coins and a large one; three and the merged one are to be left.
        assert (merging.kind, merging.payment_count, merging.reservations.count()) == ("consolidation", 0, 28)
        assert merging.reservations.count() + 3 == Coin.objects.count()
        assert max(merging.reservations.values_list("amount_sat", flat=True)) == 5_027
        dispatch.advance(payout_id=merging.pk)
        merging.refresh_from_db()
        assert merging.status == PayoutStatus.SENT
        weight = fee.tx_weight(input_count=28, output_weights=[124])
        assert merging.current.fee_sat == fee.fee_sat(weight=weight, feerate_sat_kvb=2_000)
        after = funds.of_program(ministry.program.pk)
        assert before.booked_sat - after.booked_sat == merging.current.fee_sat == merging.booked_fee_sat
        assert_clean(ministry)
        ministry.mine(1)
        merging.refresh_from_db()
        assert merging.status == PayoutStatus.SETTLED
        assert Coin.objects.filter(spent_by_txid=None).count() == 4
        assert_clean(ministry)

    def test_is_one_at_a_time(self) -> None:
        ministry = self.open()
        assert self.problem(ministry) == ""
        merging = Payout.objects.get()
        assert self.problem(ministry) == f"Payout {merging.pk} merges coins already."
        assert Payout.objects.count() == 1

    def test_waits_for_low_fees(self) -> None:
        ministry = self.open(consolidate_feerate_sat_kvb=1_999)
        assert self.problem(ministry) == "The network asks for 2 sat/vB; coins are merged up to 1.999 sat/vB."
        assert Payout.objects.count() == Reservation.objects.count() == 0

    def test_stays_inside_the_days_budget(self) -> None:
        ministry = self.open(consolidate_budget_daily_sat=2_000)
        assert self.problem(ministry) == ""
        merging = Payout.objects.get()
        # 1,000 vB pay for 14 inputs of 68 vB and 42 vB of the rest, and not for 15.
        assert (merging.reservations.count(), merging.current.fee_sat) == (14, 1_988)
        dispatch.advance(payout_id=merging.pk)
        ministry.mine(1)
        assert self.problem(ministry) == (
            "1988 of the 2000 sat that merging coins may cost a day (UTC) are spent; the rest does not pay for 10 coins."
        )
        assert Payout.objects.count() == 1

    def test_waits_while_a_released_list_needs_coins(self) -> None:
        ministry = self.open()
        ministry.release([10_000])
        assert self.problem(ministry) == "A released list still needs the wallet's coins."
        assert Payout.objects.count() == 0

    def test_leaves_what_lists_were_promised(self) -> None:
        ministry = self.open()
        booked_sat = funds.of_program(ministry.program.pk).booked_sat
        made = factories.make_disbursement(ministry.program, ministry.officer, amounts_sat=[5_000_000])
        made.manifest_hash, made.approval_tier = bytes(32), policies.Terms().tier_for(5_000_000)
        made.fee_reserved_sat = booked_sat - 5_000_000
        now = timezone.now()
        agreed.record(
            made,
            Step.APPROVE,
            ministry.approver.pk,
            at=now,
            group=policies.EVERYBODY,
            expires_at=now + timedelta(days=1),
        )
        made.status, made.approved_by = "approved", ministry.approver
        made.save()
        weight = fee.tx_weight(input_count=28, output_weights=[124])
        cost_sat = fee.fee_sat(weight=weight, feerate_sat_kvb=2_000)
        assert (
            self.problem(ministry) == f"Merging costs {cost_sat} sat, and 0 sat are not set aside for lists."
        )
        assert Payout.objects.count() == 0

    def test_does_nothing_about_a_few_coins(self) -> None:
        ministry = Ministry.open(deposits_sat=[5_000_000], **RATES, **self.RULES)
        give_many(ministry, [5_000] * 11)
        assert self.problem(ministry) == ""
        assert Payout.objects.count() == 0

    def test_is_looked_for_every_ten_minutes(self) -> None:
        ministry = self.open()
        wallet = ministry.program.wallet
        assert list(rounds.wallets_to_tidy()) == [rounds.Ring("consolidate", {"wallet_id": wallet.pk})]
        dispatch.consolidate(wallet_id=wallet.pk)
        assert list(rounds.wallets_to_tidy()) == []
        Wallet.objects.update(consolidate_due_at=timezone.now())
        Program.objects.update(consolidate_budget_daily_sat=0)
        assert list(rounds.wallets_to_tidy()) == []


class TestDeposits:
    def test_of_dust_are_booked_and_never_spent(self) -> None:
        """A29: at the ceiling of 10 sat/vB an input of 68 vB costs 680 sat; less is a stranger's dust."""
        ministry = Ministry.open(deposits_sat=[1_000_000], feerate_ceiling_sat_kvb=10_000)
        assert coins.least_deposit_sat(ministry.program.wallet) == 680
        txid = give_many(ministry, [546] * 12 + [679, 680, 20_000])
        assert funds.of_program(ministry.program.pk).booked_sat == 1_000_000 + 12 * 546 + 679 + 680 + 20_000
        # With inputs so cheap in the long run, every other small coin would be taken along.
        Program.objects.update(consolidate_feerate_sat_kvb=10_000)
        (payout,) = ministry.pay(ministry.release([15_000]))
        spent = payout.reservations.filter(txid=txid).values_list("amount_sat", flat=True)
        assert sorted(spent) == [680, 20_000]
        Program.objects.update(consolidate_feerate_sat_kvb=5_000, consolidate_budget_daily_sat=50_000)
        ministry.mine(1)
        # Nor are they merged: more than a tenth of each would be its fee.
        dispatch.consolidate(wallet_id=ministry.program.wallet.pk)
        assert Wallet.objects.get().consolidate_problem == ""
        assert Payout.objects.count() == 1
        ministry.mine(5)
        assert Coin.objects.filter(txid=txid, spent_by_txid=None).count() == 13
        assert_clean(ministry)

    def test_to_change_scripts_by_strangers_are_deposits(self) -> None:
        ministry = Ministry.open(deposits_sat=[1_000_000], **RATES)
        (payout,) = ministry.pay(ministry.release([15_000]))
        ministry.mine(1)
        booked_sat = funds.of_program(ministry.program.pk).booked_sat
        used = ChangeOutput.objects.filter(version=payout.current).order_by("vout")[0]
        unused = WalletScript.objects.filter(purpose=ScriptPurpose.CHANGE, is_claimed=False)[0]
        for script in (used.script_pubkey, unused.script_pubkey):
            give_many(ministry, [30_000], bytes(script))
        assert funds.of_program(ministry.program.pk).booked_sat == booked_sat + 60_000
        assert Coin.objects.filter(funding_entry_id__isnull=False, amount_sat=30_000).count() == 2
        assert_clean(ministry)

    def test_in_no_block_are_neither_credited_nor_spent(self) -> None:
        """A31: a top-up in the memory pool may be replaced by its sender."""
        ministry = Ministry.open(deposits_sat=[100_000], **RATES)
        ministry.miner.fund([ministry.funding_address()], 5_000_000)
        dispatch.follow()
        assert funds.of_program(ministry.program.pk).booked_sat == 100_000
        free = coins.free(ministry.program.wallet, 50_000, feerate_sat_kvb=2_000)
        assert [coin.amount_sat for coin in free] == [100_000]
        assert_clean(ministry)
        ministry.mine(1)
        assert funds.of_program(ministry.program.pk).booked_sat == 5_100_000
        assert_clean(ministry)


class TestSharedScripts:
    def test_pay_each_person_at_an_output_of_their_own(self) -> None:
        """Two people at one address, one amount even the same; and a third who is paid at it another amount."""
        ministry = Ministry.open(deposits_sat=[1_000_000], **RATES)
        # The registry gives an address to one person only; lists of an older or later rule may hold others.
        shared = factories.make_script()
        disbursement = ministry.release_to([20_000, 20_000, 25_000, 30_000], dict.fromkeys((1, 2, 3), shared))
        (payout,) = ministry.pay(disbursement)
        outputs = tx.parse(bytes(payout.current.raw)).outputs
        paid = list(Payment.objects.filter(payout=payout).order_by("line").values_list("vout", "amount_sat"))
        assert paid == [(0, 20_000), (1, 20_000), (2, 25_000), (3, 30_000)]
        assert [(o.amount_sat, o.script_pubkey == shared) for o in outputs[:4]] == [
            (20_000, True),
            (20_000, True),
            (25_000, True),
            (30_000, False),
        ]
        ministry.mine(6)
        disbursement.refresh_from_db()
        assert disbursement.status == DisbursementStatus.COMPLETED
        (run,) = service.reconcile(scope=ministry.program.scope, now=timezone.now())
        assert (run.status, run.counts["claims"], run.counts["matched"]) == ("clean", 4, 4)


class TestTwoWorkers:
    def test_sealing_at_once_share_no_coin_and_no_payment(self) -> None:
        ministry = Ministry.open(deposits_sat=[300_000] * 12, group_max_payments=5, **RATES)
        disbursement = ministry.release([20_000 + n for n in range(60)])
        client = node.connect()
        wallet = disbursement.program.wallet
        for _ in range(3):
            seal.refill_change(wallet, client)
        sealed: list[int] = []

        def work() -> None:
            try:
                while (payout_id := seal.seal_next(disbursement, feerate_sat_kvb=2_000)) is not None:
                    sealed.append(payout_id)
            finally:
                connection.close()

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(sealed) == list(Payout.objects.order_by("pk").values_list("pk", flat=True))
        assert len(sealed) == 12
        spent = Reservation.objects.values_list("txid", "vout")
        assert len(set(spent)) == len(spent) == 12
        assert Payment.objects.filter(payout=None).count() == 0
        ministry.pay(disbursement)
        ministry.mine(6)
        assert_clean(ministry)

    def test_leave_a_list_to_the_one_that_seals_it(self) -> None:
        ministry = Ministry.open(deposits_sat=[300_000] * 2, **RATES)
        disbursement = ministry.release([20_000])

        def ring() -> None:
            try:
                dispatch.seal(disbursement_id=disbursement.pk)
            finally:
                connection.close()

        with seal.only_one(disbursement.pk) as is_mine:
            assert is_mine
            other = threading.Thread(target=ring)
            other.start()
            other.join()
            assert Payout.objects.count() == 0
        dispatch.seal(disbursement_id=disbursement.pk)
        assert Payout.objects.count() == 1
