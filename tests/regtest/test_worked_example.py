"""The worked example: 1,000 people, Rs 14,500 each, at 28,100,000 rupees a bitcoin, figure by figure, on a real node.

Prices come from three files that the watch reads, cash by warrants, bitcoin by a deposit; the list is paid, settled, taken
back by a reorganization and settled again, and the trust that took the bitcoin loses by selling it lower.
"""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from ledger import books
from ledger.models import Account, Entry
from ledger.treasury import movements
from ledger.treasury.lots import Movement
from payments.api.serializers.payment import PaymentOut
from payments.models import Disbursement, Payment, Payout, PriceRule, Quote
from payments.payout import dispatch
from payments.prices import currency, watch
from payments.selectors import payments as selector
from payments.services import conversions, disbursements, reissues
from tests import factories
from tests.ledger.reports.asking import columns
from tests.regtest.giving_up import balances, give_up, is_clean
from tests.regtest.ministry import Ministry, use_node

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = 1_000
PAY_MINOR, PAY_SAT, VALUE_MINOR, REMAINDER_MINOR = 1_450_000, 51_601, 1_449_988, 12
TOTAL_MINOR, TOTAL_SAT = 1_450_000_000, 51_601_000
DEPOSIT_SAT = 60_000_000


@pytest.fixture
def prices(settings: Any, tmp_path: Path) -> Path:
    """Three files with prices in rupees, and a rule that believes what two of them agree on."""
    settings.GOVPAY_PRICE_FOLDER = str(tmp_path)
    say(tmp_path, "28100000.00", "28100500.00", "28099500.00")
    factories.make_price_rule("PKR", floor="1000000", ceiling="100000000")
    for number in range(3):
        factories.make_price_source("PKR", "file", f"pkr{number}.json", name=f"Exchange {number}")
    return tmp_path


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=[DEPOSIT_SAT // 2] * 2, code="STIPENDS", currency="PKR")


def say(folder: Path, *prices: str) -> None:
    for number, price in enumerate(prices):
        said = {"base": "BTC", "currency": "PKR", "price": price, "time": timezone.now().isoformat()}
        (folder / f"pkr{number}.json").write_text(json.dumps(said))


def approve(ministry: Ministry, amounts_minor: list[int]) -> Disbursement:
    made = factories.make_disbursement(ministry.program, ministry.officer, amounts_minor=amounts_minor)
    return agree(ministry, made)


def agree(ministry: Ministry, made: Disbursement) -> Disbursement:
    made = disbursements.submit(by=ministry.officer, disbursement_id=made.pk)
    agreed = bytes(made.manifest_hash or b"")
    return disbursements.approve(by=ministry.approver, disbursement_id=made.pk, manifest_hash=agreed)


def quoted(ministry: Ministry, made: Disbursement) -> conversions.Preview:
    watch.look(PriceRule.objects.get().pk)
    return conversions.preview(by=ministry.releaser, disbursement_id=made.pk)


def release(ministry: Ministry, made: Disbursement, quote: Quote) -> Disbursement:
    return disbursements.release(
        by=ministry.releaser,
        disbursement_id=made.pk,
        manifest_hash=bytes(made.manifest_hash or b""),
        quote_id=quote.pk,
    )


def moved(ministry: Ministry, before: dict[str, int]) -> dict[str, int]:
    """What changed in the books since then."""
    now = balances(ministry)
    return {name: now[name] - before[name] for name in now if now[name] != before[name]}


def fees(ministry: Ministry) -> int:
    return sum(payout.booked_fee_sat for payout in Payout.objects.all())


class TestWorkedExample:
    def test_figure_by_figure(self, ministry: Ministry, prices: Path) -> None:
        # Fund: Dr program cash, Cr appropriation; the bitcoin was deposited.
        factories.fund_cash(ministry.program, TOTAL_MINOR)
        nothing = dict.fromkeys(balances(ministry), 0)
        assert moved(ministry, nothing) == {
            "Cash": TOTAL_MINOR,
            "MoneyAppropriation": -TOTAL_MINOR,
            "HotWallet": DEPOSIT_SAT,
            "Appropriation": -DEPOSIT_SAT,
        }

        # Approve: the transfers are spoken for, and nobody is owed yet (ADR 27).
        before = balances(ministry)
        made = approve(ministry, [PAY_MINOR] * PEOPLE)
        assert moved(ministry, before) == {}
        held = Entry.objects.get(kind="encumbrance").postings.filter(amount__gt=0).get()
        assert (held.amount, held.account.currency, held.layer) == (TOTAL_MINOR, "PKR", "encumbered")

        # Quote: the median of the three.
        found = quoted(ministry, made)
        assert (f"{found.quote.price:.2f}", found.quote.currency) == ("28100000.00", "PKR")
        assert [value["value"] for value in found.quote.values] == ["28100000", "28100500", "28099500"]
        assert found.figures == conversions.Figures(
            PEOPLE, TOTAL_MINOR, TOTAL_SAT, PEOPLE * REMAINDER_MINOR, 0
        )

        # Release: Dr transfers, Cr payable; the two legs through clearing; the remainders stay in the cash.
        made = release(ministry, made, found.quote)
        assert moved(ministry, before) == {
            "Transfers": TOTAL_MINOR,
            "BeneficiariesPayable": -TOTAL_MINOR,
            "ConversionClearing": TOTAL_MINOR,
            "Cash": -PEOPLE * VALUE_MINOR,
            "Rounding": -PEOPLE * REMAINDER_MINOR,
            "Appropriation": TOTAL_SAT,
            "ConversionClearingBitcoin": -TOTAL_SAT,
        }
        rows = selector.payments(ministry.releaser).filter(disbursement_id=made.pk)
        shown = PaymentOut(rows, many=True).data
        assert {(row["amount_minor"], row["amount_sat"], row["remainder_minor"]) for row in shown} == {
            (PAY_MINOR, PAY_SAT, REMAINDER_MINOR)
        }
        assert currency.in_words(VALUE_MINOR, "PKR") == "14,499.88 PKR"
        assert currency.in_words(REMAINDER_MINOR, "PKR") == "0.12 PKR"

        # Broadcast: Dr in transit, Cr hot wallet, the fee to network fees.
        before = balances(ministry)
        payouts = ministry.pay(made)
        assert sum(payout.payments_minor or 0 for payout in payouts) == TOTAL_MINOR
        assert moved(ministry, before) == {
            "InTransit": TOTAL_SAT,
            "NetworkFees": fees(ministry),
            "HotWallet": -TOTAL_SAT - fees(ministry),
        }

        # Six confirmations: in transit and payable are cleared, clearing is zero in both currencies.
        before = balances(ministry)
        ministry.mine(6)
        settled = {
            "BeneficiariesPayable": TOTAL_MINOR,
            "ConversionClearing": -TOTAL_MINOR,
            "ConversionClearingBitcoin": TOTAL_SAT,
            "InTransit": -TOTAL_SAT,
        }
        assert moved(ministry, before) == settled
        after = balances(ministry)
        cleared = ("ConversionClearing", "ConversionClearingBitcoin", "BeneficiariesPayable", "InTransit")
        assert [after[name] for name in cleared] == [0, 0, 0, 0]
        made.refresh_from_db()
        assert made.status == "completed"
        assert is_clean(ministry)

        # A reorganization mirrors the last entries, and the same again settles anew.
        ministry.miner.reorg(6, 7, with_mempool=False)
        dispatch.follow()
        assert moved(ministry, after) == {name: -amount for name, amount in settled.items()}
        for payout in payouts:
            dispatch.advance(payout_id=payout.pk)
        ministry.mine(6)
        assert moved(ministry, after) == {}
        assert is_clean(ministry)
        ministry.judge(exactly=True)
        trial = books.trial_balance(scope=ministry.program.scope)
        assert trial.is_balanced
        assert Account.objects.filter(scope=ministry.program.scope, currency="PKR").count() == 6

    def test_the_trust_loses_what_nobody_published(self, db: None) -> None:
        keeper, now = factories.make_user("keeper", movements.RIGHT), timezone.now()
        sold_minor = 1_393_227
        movements.record(
            by=keeper,
            scope="trust:1",
            currency="PKR",
            scale=2,
            movements=[
                Movement(now - timedelta(days=2), True, PAY_SAT, VALUE_MINOR, "purchase:1"),
                Movement(now - timedelta(days=1), False, PAY_SAT, sold_minor, "sale:1", "", "pakistan"),
            ],
        )
        assert columns("lots", "proceeds", "cost", "gain", scope="trust:1") == [
            (sold_minor, VALUE_MINOR, -56_761)
        ]
        assert currency.in_words(-56_761, "PKR") == "-567.61 PKR"


class TestReissue:
    def test_is_owed_the_same_money_and_quoted_anew(self, ministry: Ministry, prices: Path) -> None:
        treasurer = factories.make_member(ministry.program, "treasurer")
        factories.fund_cash(ministry.program, 10 * PAY_MINOR)
        made = approve(ministry, [PAY_MINOR] * 2)
        before = balances(ministry)
        release(ministry, made, quoted(ministry, made).quote)
        (payout,) = ministry.pay(made)
        give_up(ministry, treasurer, payout)
        ministry.mine(101)
        assert Payout.objects.get(pk=payout.pk).status == "voided"
        # All of it is undone but for what the network took.
        cost_sat = fees(ministry)
        assert moved(ministry, before) == {"NetworkFees": cost_sat, "HotWallet": -cost_sat}

        say(prices, "29000000.00", "29000000.00", "29000000.00")
        again = agree(ministry, reissues.of_list(by=ministry.officer, disbursement_id=made.pk))
        assert (again.total_minor, again.total_sat) == (2 * PAY_MINOR, None)
        release(ministry, again, quoted(ministry, again).quote)
        ministry.pay(again)
        lines = Payment.objects.filter(disbursement=again)
        assert set(lines.values_list("amount_minor", "amount_sat", "remainder_minor")) == {
            (PAY_MINOR, 50_000, 0)
        }
        ministry.mine(6)
        assert moved(ministry, before) == {
            "Transfers": 2 * PAY_MINOR,
            "Cash": -2 * PAY_MINOR,
            "Appropriation": 100_000,
            "NetworkFees": fees(ministry),
            "HotWallet": -100_000 - fees(ministry),
        }
        assert is_clean(ministry)
