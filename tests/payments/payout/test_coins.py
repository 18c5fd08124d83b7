"""Free coins and the sealing of groups in PostgreSQL: what is offered, how many statements it takes."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from payments.models import Block, Coin, Disbursement, Payment, Payout, Program, Reservation, WalletScript
from payments.payout import coins, seal, selection
from payments.services import disbursements
from tests import factories

pytestmark = pytest.mark.django_db


def release(
    program: Program,
    officer: User,
    approver: User,
    releaser: User,
    amounts_sat: list[int],
    period: str = "2026-11",
) -> Disbursement:
    made = factories.make_disbursement(program, officer, amounts_sat=amounts_sat, period=period)
    made = disbursements.submit(by=officer, disbursement_id=made.pk)
    agreed = bytes(made.manifest_hash or b"")
    disbursements.approve(by=approver, disbursement_id=made.pk, manifest_hash=agreed)
    return disbursements.release(by=releaser, disbursement_id=made.pk, manifest_hash=agreed)


def add_change_scripts(program: Program, count: int = 20) -> None:
    WalletScript.objects.bulk_create(
        WalletScript(wallet=program.wallet, script_pubkey=factories.make_script(), purpose="change")
        for _ in range(count)
    )


def offered(program: Program, need_sat: int = 1, feerate_sat_kvb: int = 1_000) -> list[int]:
    found = coins.free(program.wallet, need_sat, feerate_sat_kvb=feerate_sat_kvb)
    return sorted(coin.amount_sat for coin in found)


class TestFree:
    def test_offers_a_few_that_suffice_the_largest_and_the_smallest(self, program: Program) -> None:
        for number in range(100):
            factories.fund(program, 10_000 + number)
        smallest = list(range(10_000, 10_020))
        largest = list(range(10_080, 10_100))
        # Five, one more than the program wants to keep.
        sufficing = list(range(10_050, 10_055))
        assert offered(program, 10_050) == smallest + sufficing + largest

    def test_leaves_out_what_is_spent_reserved_immature_or_of_another_wallet(self, program: Program) -> None:
        spent, reserved, immature, unsettled = (factories.fund(program, 10_000 + n) for n in range(4))
        kept = factories.fund(program, 20_000)
        factories.fund(factories.make_program("OTHER"), 30_000)
        Coin.objects.filter(pk=spent.pk).update(spent_by_txid="ab" * 32)
        Coin.objects.filter(pk=immature.pk).update(is_coinbase=True)
        values = {
            "wallet": program.wallet,
            "disbursement": factories.make_disbursement(program, factories.make_member(program, "officer")),
            "payment_count": 1,
            "payments_sat": 1,
            "manifest_hash": bytes(32),
            "anchor_txid": "aa" * 32,
            "anchor_vout": 0,
        }
        sealed = Payout.objects.create(**values)
        resting = Payout.objects.create(
            **values, status="unsealed", due_at=timezone.now() + timedelta(minutes=1)
        )
        for payout, coin, is_live in ((sealed, reserved, True), (resting, unsettled, False)):
            Reservation.objects.create(
                payout=payout,
                position=0,
                txid=coin.txid,
                vout=coin.vout,
                amount_sat=coin.amount_sat,
                script_pubkey=bytes(coin.script_pubkey),
                is_live=is_live,
            )
        assert offered(program) == [kept.amount_sat]
        Payout.objects.filter(pk=resting.pk).update(due_at=timezone.now())
        assert offered(program) == [unsettled.amount_sat, kept.amount_sat]

    def test_offers_a_coinbase_once_it_is_mature(self, program: Program) -> None:
        coin = factories.fund(program, 50_000)
        Coin.objects.filter(pk=coin.pk).update(is_coinbase=True)
        for height, expected in ((100, []), (101, [50_000])):
            Block.objects.create(
                block_hash=f"{height:064x}", prev_hash="00" * 32, height=height, time=timezone.now()
            )
            assert offered(program) == expected

    def test_leaves_strangers_dust_alone_and_takes_change_of_the_same_size(self, program: Program) -> None:
        """The ceiling is 50 sat/vB, at which an input of 68 vB costs 3,400 sat."""
        dust = factories.fund(program, 3_399)
        factories.fund(program, 3_400)
        assert offered(program) == [3_400]
        Coin.objects.filter(pk=dust.pk).update(funding_entry_id=None)
        assert offered(program) == [3_399, 3_400]

    def test_leaves_out_what_costs_more_than_it_holds(self, program: Program) -> None:
        factories.fund(program, 6_800)
        factories.fund(program, 6_801)
        assert offered(program, feerate_sat_kvb=100_000) == [6_801]


class TestSealNext:
    def count(self, disbursement: Disbursement) -> int:
        found = Disbursement.objects.select_related("program__wallet").get(pk=disbursement.pk)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert seal.seal_next(found, feerate_sat_kvb=1_000) is not None
        return len(queries)

    def test_takes_as_many_statements_for_500_payments_as_for_50(
        self, program: Program, officer: User, approver: User, releaser: User
    ) -> None:
        add_change_scripts(program)
        for _ in range(8):
            factories.fund(program, 10_000_000)
        counts = []
        for period, size in (("2026-10", 50), ("2026-11", 500)):
            released = release(program, officer, approver, releaser, [1_000] * size, period)
            counts.append(self.count(released))
            assert Payment.objects.filter(disbursement=released, payout__isnull=False).count() == size
        assert counts == [21, 21]

    def test_pays_in_parts_what_no_coins_carry_whole(
        self, program: Program, officer: User, approver: User, releaser: User
    ) -> None:
        add_change_scripts(program)
        for _ in range(40):
            factories.fund(program, 100_000)
        released = release(program, officer, approver, releaser, [50_000] * 60)
        payout = Payout.objects.get(pk=seal.seal_next(released, feerate_sat_kvb=1_000))
        # Twenty coins hold 2,000,000 sat: 30 of the 60 payments.
        assert (payout.payment_count, payout.reservations.count()) == (30, 16)

    def test_waits_for_change_that_carries_more(
        self, program: Program, officer: User, approver: User, releaser: User
    ) -> None:
        add_change_scripts(program)
        factories.fund(program, 5_000_000)
        factories.fund(program, 60_000)
        first = release(program, officer, approver, releaser, [100_000] * 5, "2026-10")
        seal.seal_next(first, feerate_sat_kvb=2_000)
        second = release(program, officer, approver, releaser, [50_000] * 10)
        with pytest.raises(selection.InsufficientCoins) as refusal:
            seal.seal_next(second, feerate_sat_kvb=2_000)
        assert refusal.value.details == {"needed_sat": 500_000, "free_sat": 60_000}
        assert Payment.objects.filter(disbursement=second, payout__isnull=False).count() == 0
        # A payout that somebody must look at first brings nothing: what is free now pays one person.
        Payout.objects.update(status="frozen")
        payout = Payout.objects.get(pk=seal.seal_next(second, feerate_sat_kvb=2_000))
        assert payout.payment_count == 1
