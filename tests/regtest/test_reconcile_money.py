"""Reconciliation of a program of money on a real node: what was converted otherwise than by its quote is a break (R-13)."""

import pytest
from django.db import connection
from django.utils import timezone

from ledger import books, chart
from ledger.models import Break, ReconciliationRun, RunStatus
from ledger.reconciliation import service
from payments.models import Disbursement, Payment
from payments.services import disbursements
from tests import factories
from tests.regtest.ministry import Ministry, use_node

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=[1_000_000], code="STIPENDS", currency="PKR")


@pytest.fixture
def paid(ministry: Ministry) -> Disbursement:
    """A list of two that a block holds, found clean."""
    factories.fund_cash(ministry.program, 10_000_000)
    made = factories.make_disbursement(
        ministry.program, ministry.officer, amounts_minor=[1_450_000, 1_500_000]
    )
    made = disbursements.submit(by=ministry.officer, disbursement_id=made.pk)
    agreed = bytes(made.manifest_hash or b"")
    disbursements.approve(by=ministry.approver, disbursement_id=made.pk, manifest_hash=agreed)
    quote = factories.make_quote()
    made = disbursements.release(
        by=ministry.releaser, disbursement_id=made.pk, manifest_hash=agreed, quote_id=quote.pk
    )
    ministry.pay(made)
    ministry.mine(1)
    run = reconcile(ministry, is_full=True)
    assert (run.status, run.reason) == (RunStatus.CLEAN, "")
    return made


def reconcile(ministry: Ministry, *, is_full: bool = False) -> ReconciliationRun:
    (run,) = service.reconcile(scope=ministry.program.scope, now=timezone.now(), is_full=is_full)
    return run


def breaks(run: ReconciliationRun) -> list[tuple[str, str, int | None, str, str]]:
    rows = Break.objects.filter(run=run).order_by("unit", "payment_id")
    return list(rows.values_list("unit", "kind", "payment_id", "expected", "found"))


def tamper(statement: str) -> None:
    """Change rows as who owns the tables can."""
    with connection.cursor() as cursor:
        for table in ("payments_quote", "payments_payment"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(statement)
        for table in ("payments_quote", "payments_payment"):
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


class TestRate:
    def test_another_price_than_the_quote_of_the_list_is_a_break_of_each_payment(
        self, ministry: Ministry, paid: Disbursement
    ) -> None:
        tamper("UPDATE payments_quote SET price = 28000000")
        run = reconcile(ministry, is_full=True)
        first, second = Payment.objects.order_by("line")
        unit = f"payout:{first.payout_id}"
        assert breaks(run) == [
            (unit, "rate", first.pk, "51786", "51601"),
            (unit, "rate", second.pk, "53571", "53381"),
        ]
        assert run.counts["rate"] == 2
        tamper("UPDATE payments_quote SET price = 28100000")
        # What was left open is looked at again, and closed.
        assert reconcile(ministry).status == RunStatus.CLEAN

    def test_other_satoshis_than_the_money_are_one_though_chain_and_books_agree(
        self, ministry: Ministry, paid: Disbursement
    ) -> None:
        tamper("UPDATE payments_payment SET amount_minor = 2900000 WHERE line = 1")
        run = reconcile(ministry, is_full=True)
        (found,) = breaks(run)
        assert found[:2] == (f"payout:{Payment.objects.get(line=1).payout_id}", "rate")

    def test_a_conversion_that_is_booked_once_more_is_one(
        self, ministry: Ministry, paid: Disbursement
    ) -> None:
        money = chart.money_accounts(ministry.program.pk)
        books.post(
            [
                books.Draft(
                    kind="conversion",
                    scope=ministry.program.scope,
                    idempotency_key="tampered",
                    lines=[books.Line(money.clearing, 100), books.Line(money.cash, -100)],
                    effective_at=timezone.now(),
                    source_ref=f"disbursement:{paid.pk}",
                    actor="intruder",
                )
            ]
        )
        expected = (f"disbursement:{paid.pk}", "rate", None, "2950000/104982/6", "2950100/104982/6")
        # Found by the increment, and by the one after it.
        assert breaks(reconcile(ministry)) == [expected]
        assert breaks(reconcile(ministry)) == [expected]
        assert breaks(reconcile(ministry, is_full=True)) == [expected]
