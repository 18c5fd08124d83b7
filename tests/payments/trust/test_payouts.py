"""What a trust owes people, paid by bank file: two members decide, the bank answers by line, the books follow (R-25)."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from ledger import books
from ledger.treasury import trust as entries
from payments.models import BankAccount, BankFile, Disbursement, Payment, Program, Trust, TrustLeg, TrustPurse
from payments.services import bank_reports, bank_writing, trust_boards
from payments.services.bank_files import NoPayingAccount
from payments.services.board import NotOnTheBoard
from payments.services.trust_payouts import NobodyToPay
from payments.trust import following
from tests import banking, factories
from tests.payments.trust.conftest import Three, give_price, make_list, release
from tests.payments.trust.test_legs import GOLDEN_MINOR, GOLDEN_SAT, settle

pytestmark = pytest.mark.django_db


@pytest.fixture
def trust() -> Trust:
    give_price("28100000")
    made = factories.make_trust(cash_minor=5_000_000 + 3 * GOLDEN_MINOR, floor_minor=5_000_000)
    banking.make_paying_account_of(made.scope)
    return made


@pytest.fixture
def owed(trust: Trust, three: Three, program: Program) -> Disbursement:
    """A list of three golden payments that settled; the first two people have an account."""
    draft = make_list(program, three, trust, [GOLDEN_SAT] * 3)
    release(draft, three)
    settle(draft)
    following.follow(trust.pk)
    for payment in Payment.objects.filter(disbursement=draft, line__in=(1, 2)):
        banking.make_account(payment.beneficiary, three.officer)
    return draft


def statuses(disbursement: Disbursement) -> list[tuple[int, str, int]]:
    rows = TrustLeg.objects.filter(payment__disbursement=disbursement).order_by("payment__line")
    return list(rows.values_list("payment__line", "status", "attempt"))


def money(trust: Trust) -> tuple[int, int]:
    purse = TrustPurse.objects.get(trust=trust)
    return purse.cash_minor, purse.owed_minor


def balance(trust: Trust, name: str) -> int:
    return books.balance(getattr(entries.accounts(trust.scope, "PKR"), name))


def pay(trust: Trust) -> tuple[BankFile, bytes]:
    """Have the board pay, a worker write the file, and a member take it to the bank."""
    decision = factories.decide(trust, "pay", currency="PKR")
    made = BankFile.objects.get(origin="trust", origin_id=decision.pk)
    bank_writing.write(made.pk)
    _, file = bank_writing.fetch(by=factories.board_of(trust)[2], bank_file_id=made.pk)
    return made, file.read()


def answer(trust: Trust, data: bytes, **codes: tuple[str, str]) -> None:
    said = {
        each["id"]: code for each, code in zip(banking.read(data)["transfers"], codes.values(), strict=False)
    }
    bank_reports.take(by=factories.board_of(trust)[0], scope=trust.scope, file=banking.answer(data, said))


class TestPay:
    def test_asks_for_the_day_after_as_files_of_lists_do(self, trust: Trust, owed: Disbursement) -> None:
        """A file is taken to the bank some time after the decision, which may be on the next day."""
        made, _ = pay(trust)
        assert made.execution_date == made.made_at.date() + timedelta(days=1)

    def test_pays_those_with_an_account_and_what_the_bank_rejects_is_owed_again(
        self, trust: Trust, owed: Disbursement
    ) -> None:
        made, data = pay(trust)
        read = banking.read(data)
        assert (read["count"], read["sum"]) == ("2", "28999.76")
        assert [(each["amount"], each["currency"]) for each in read["transfers"]] == [("14499.88", "PKR")] * 2
        assert statuses(owed) == [(1, "instructed", 1), (2, "instructed", 1), (3, "owed", 1)]
        cash = 5_000_000 + 3 * GOLDEN_MINOR
        assert money(trust) == (cash, 3 * GOLDEN_MINOR)
        answer(trust, data, first=("ACSC", ""), second=("RJCT", "AC04"))
        assert statuses(owed) == [(1, "paid", 1), (2, "owed", 2), (3, "owed", 1)]
        assert money(trust) == (cash - GOLDEN_MINOR, 2 * GOLDEN_MINOR)
        assert balance(trust, "cash") == cash - GOLDEN_MINOR
        assert balance(trust, "payable") == -2 * GOLDEN_MINOR
        # The person brings another account, and the next file pays them by another attempt.
        again, data = pay(trust)
        assert list(again.lines.values_list("settles", "amount_minor")) == [("trust_leg:2", GOLDEN_MINOR)]
        answer(trust, data, only=("ACSC", ""))
        assert statuses(owed) == [(1, "paid", 1), (2, "paid", 2), (3, "owed", 1)]
        assert books.trial_balance(scope=trust.scope).is_balanced
        assert made.pk != again.pk

    @pytest.mark.parametrize(
        "columns",
        [{"title_match": "NMTC"}, {"changed": True}],
        ids=["another title", "changed a short time ago"],
    )
    def test_waits_where_something_speaks_against_the_account(
        self, trust: Trust, owed: Disbursement, three: Three, columns: dict[str, Any]
    ) -> None:
        Program.objects.update(destination_cooling_s=3_600)
        rows = BankAccount.objects.filter(beneficiary__payments__disbursement=owed)
        if columns.pop("changed", False):
            now = timezone.now()
            for row in rows:
                BankAccount.objects.filter(pk=row.pk).update(is_current=False)
                BankAccount.objects.create(
                    beneficiary=row.beneficiary,
                    account=row.account,
                    iban_hash=row.iban_hash,
                    created_by=three.officer,
                    replaces=row,
                    decided_by=three.approver,
                    decided_at=now,
                    changed_at=now - timedelta(seconds=60),
                )
        else:
            rows.update(**columns)
        first, second, _ = factories.board_of(trust)
        made = trust_boards.propose(by=first, trust_id=trust.pk, kind="pay", note="x", currency="PKR")
        with pytest.raises(NobodyToPay):
            trust_boards.sign(by=second, decision_id=made.pk)
        assert not BankFile.objects.exists()

    def test_needs_an_answer_about_the_title_where_banks_are_asked(
        self, trust: Trust, owed: Disbursement, settings: Any
    ) -> None:
        settings.GOVPAY_PAYEE_CHECK_URL = "https://bank.example"
        BankAccount.objects.filter(beneficiary__payments__line=2).update(title_match="MTCH")
        made, _ = pay(trust)
        assert made.lines.count() == 1

    def test_needs_an_account_to_pay_from(self, trust: Trust, owed: Disbursement) -> None:
        trust_boards_first, second, _ = factories.board_of(trust)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE payments_payingaccount SET ended_at = now()")
        made = trust_boards.propose(
            by=trust_boards_first, trust_id=trust.pk, kind="pay", note="x", currency="PKR"
        )
        with pytest.raises(NoPayingAccount):
            trust_boards.sign(by=second, decision_id=made.pk)
        assert statuses(owed)[0] == (1, "owed", 1)

    def test_only_a_member_takes_the_file_to_the_bank(
        self, trust: Trust, owed: Disbursement, three: Three
    ) -> None:
        decision = factories.decide(trust, "pay", currency="PKR")
        made = BankFile.objects.get(origin_id=decision.pk)
        bank_writing.write(made.pk)
        with pytest.raises(NotOnTheBoard):
            bank_writing.fetch(by=three.releaser, bank_file_id=made.pk)

    def test_a_line_that_goes_to_an_account_of_somebody_else_is_not_written(
        self, trust: Trust, owed: Disbursement
    ) -> None:
        """What is encrypted is moved to another row, whose keyed hash stays."""
        mine, others = BankAccount.objects.order_by("pk")[:2]
        BankAccount.objects.filter(pk=others.pk).update(account=mine.account)
        decision = factories.decide(trust, "pay", currency="PKR")
        made = BankFile.objects.get(origin_id=decision.pk)
        bank_writing.write(made.pk)
        made.refresh_from_db()
        assert (made.status, made.problem) == (
            "waiting",
            f"Line 2 of bank file {made.message_id} is not what the trust owes.",
        )

    def test_a_line_that_is_not_what_the_bitcoin_was_worth_is_not_written(
        self, trust: Trust, owed: Disbursement
    ) -> None:
        decision = factories.decide(trust, "pay", currency="PKR")
        made = BankFile.objects.get(origin_id=decision.pk)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE payments_payment SET amount_sat = amount_sat - 1")
        bank_writing.write(made.pk)
        made.refresh_from_db()
        assert (made.status, made.problem) == (
            "waiting",
            f"Line 1 of bank file {made.message_id} is not what the trust owes.",
        )
