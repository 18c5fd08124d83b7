"""Where people are paid at banks: whole files or nothing, and another account by two people."""

import io
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from govpay.errors import InvalidInput, SamePersonTwice
from payments.models import BankAccount, Program
from payments.rails import iban
from payments.services import bank_accounts
from tests import banking, factories


def csv(*rows: str) -> io.BytesIO:
    return io.BytesIO("\n".join(["reference,title,iban", *rows, ""]).encode())


class TestLoad:
    def test_takes_a_whole_file_encrypted(self, program: Program, officer: User) -> None:
        people = [factories.make_enrollment(program) for _ in range(3)]
        rows = [f"{each.reference},Title {n},{banking.iban(n)}" for n, each in enumerate(people)]
        assert bank_accounts.load_csv(by=officer, program_id=program.pk, file=csv(*rows)) == 3
        found = BankAccount.objects.get(beneficiary=people[1].beneficiary)
        assert found.account == {"title": "Title 1", "iban": banking.iban(1), "bic": ""}
        assert (found.is_current, found.changed_at, found.title_match) == (True, None, "")

    @pytest.mark.parametrize("data", [b"reference,title,iban\n", b"reference;title;iban\nP-1;Ana;PK00\n"])
    def test_refuses_a_file_that_is_none_as_a_whole(
        self, program: Program, officer: User, data: bytes
    ) -> None:
        with pytest.raises(InvalidInput) as error:
            bank_accounts.load_csv(by=officer, program_id=program.pk, file=io.BytesIO(data))
        assert error.value.message == "No account was taken: the file as a whole breaks a rule."
        assert {each["row"] for each in error.value.details["errors"]} == {0}
        assert BankAccount.objects.count() == 0

    def test_refuses_a_file_with_every_row_that_breaks_a_rule(self, program: Program, officer: User) -> None:
        known, other = factories.make_enrollment(program), factories.make_enrollment(program)
        banking.make_account(known.beneficiary, officer)
        rows = [
            f"{known.reference},A,{banking.iban(1)}",
            f"{other.reference},B,{banking.iban(2)[:-1]}X",
            f"{other.reference},,{banking.iban(2)}",
            f"NOBODY,C,{banking.iban(3)}",
        ]
        with pytest.raises(InvalidInput) as refusal:
            bank_accounts.load_csv(by=officer, program_id=program.pk, file=csv(*rows))
        assert [(each["row"], each["code"]) for each in refusal.value.details["errors"]] == [
            (1, "account_known"),
            (2, "iban_check_digits"),
            (3, "title_malformed"),
            (3, "reference_duplicate"),
            (4, "reference_unknown"),
        ]
        assert BankAccount.objects.count() == 1


class TestChange:
    def test_counts_when_a_second_person_confirms(
        self, program: Program, officer: User, approver: User
    ) -> None:
        person = factories.make_enrollment(program)
        old = banking.make_account(person.beneficiary, officer)
        terms: dict[str, Any] = {"title": "Ana", "iban": banking.iban(9), "note": "A new bank."}
        new = bank_accounts.propose(by=officer, enrollment_id=person.pk, **terms)
        assert not new.is_current
        with pytest.raises(bank_accounts.AccountPending):
            bank_accounts.propose(by=officer, enrollment_id=person.pk, **terms)
        with pytest.raises(SamePersonTwice):
            bank_accounts.confirm(by=officer, bank_account_id=new.pk)
        bank_accounts.confirm(by=approver, bank_account_id=new.pk)
        old.refresh_from_db()
        new.refresh_from_db()
        assert (old.is_current, new.is_current, new.decided_by) == (False, True, approver)
        assert new.changed_at == new.decided_at
        with pytest.raises(bank_accounts.AccountDecided):
            bank_accounts.refuse(by=approver, bank_account_id=new.pk, note="Too late.")

    def test_the_database_lets_nobody_confirm_alone(self, program: Program, officer: User) -> None:
        person = factories.make_enrollment(program)
        old = banking.make_account(person.beneficiary, officer)
        new = bank_accounts.propose(
            by=officer, enrollment_id=person.pk, title="Ana", iban=banking.iban(9), note="A new bank."
        )
        BankAccount.objects.filter(pk=old.pk).update(is_current=False)
        rows = BankAccount.objects.filter(pk=new.pk)
        for changes in (
            {"is_current": True},
            {"is_current": True, "decided_by": officer, "decided_at": new.created_at},
            {"decided_by": officer, "decided_at": new.created_at, "changed_at": new.created_at},
        ):
            with pytest.raises(IntegrityError, match="bankaccount_changed_by_two"), transaction.atomic():
                rows.update(**changes)

    def test_a_refused_one_never_counts(self, program: Program, officer: User, approver: User) -> None:
        person = factories.make_enrollment(program)
        old = banking.make_account(person.beneficiary, officer)
        new = bank_accounts.propose(
            by=officer, enrollment_id=person.pk, title="Ana", iban=banking.iban(9), note="A new bank."
        )
        bank_accounts.refuse(by=approver, bank_account_id=new.pk, note="She says no.")
        assert BankAccount.objects.get(is_current=True) == old

    def test_refuses_what_is_no_account(self, program: Program, officer: User) -> None:
        person = factories.make_enrollment(program)
        with pytest.raises(InvalidInput) as refusal:
            bank_accounts.propose(
                by=officer, enrollment_id=person.pk, title="Ana", iban="PK36", bic="X", note="A new bank."
            )
        assert [each["code"] for each in refusal.value.details["errors"]] == [
            "iban_malformed",
            "bic_malformed",
        ]


def test_two_spellings_of_one_account_have_one_hash() -> None:
    assert bank_accounts.hash_of(iban.normalize("pk36 scbl 0000 0011 2345 6702")) == bank_accounts.hash_of(
        banking.OWN
    )
