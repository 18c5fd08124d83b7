"""The pages where a person says alone what they want to be paid in, with digits that go to their telephone (R-25, A37)."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from ledger.models import AuditEvent
from payments.models import (
    Election,
    Enrollment,
    Message,
    PersonCode,
    Program,
    Trust,
    TrustLeg,
)
from payments.services import disbursements, elections, own_elections, person_codes
from payments.trust import words
from tests import banking, claiming, factories, racing
from tests.payments.person import browsing

pytestmark = pytest.mark.django_db

PAGE = "/person/election/"
NATIONAL_ID = "35202-7654321-1"
PHONE = "+923000000001"


@pytest.fixture
def trust() -> Trust:
    """A trust that pays rupees."""
    return factories.make_trust(cash_minor=5_000_000)


@pytest.fixture
def person(program: Program) -> Enrollment:
    """Somebody with a known id and a telephone."""
    made = factories.make_enrollment(program)
    claiming.know(made.beneficiary, NATIONAL_ID, phone=PHONE)
    return made


def known(person: Enrollment, **changes: Any) -> dict[str, Any]:
    """What the person fills in first."""
    return {
        "program": person.program.code,
        "reference": person.reference,
        "national_id": NATIONAL_ID,
    } | changes


def digits() -> str:
    """What went to the telephone last."""
    row = Message.objects.filter(kind="person_code").latest("pk")
    assert row.content is not None
    assert row.content["to"] == PHONE
    found = re.search(r"[0-9]{6}", row.content["text"])
    assert found is not None
    return found[0]


def begin(visitor: Client, person: Enrollment, **changes: Any) -> Any:
    return browsing.send(visitor, PAGE, **known(person, **changes))


def choose(visitor: Client, person: Enrollment, choice: str, code: str) -> Any:
    return browsing.send(visitor, PAGE, **known(person, choice=choice, code=code))


class TestElecting:
    def test_chooses_currency_and_then_bitcoin_again(
        self, visitor: Client, trust: Trust, person: Enrollment
    ) -> None:
        page = begin(visitor, person)
        assert page.status_code == 200
        assert "You are paid in bitcoin." in page.content.decode()
        assert "PKR, from Convertibility trust, to your account" in page.content.decode()
        purse = trust.purses.get()
        done = choose(visitor, person, str(purse.pk), digits())
        assert done.status_code == 200
        assert "you are paid in PKR, by Convertibility trust" in done.content.decode()
        assert "Bring its number to the help desk." in done.content.decode()
        row = Election.objects.get()
        assert (row.choice, row.purse, row.made_by, row.note) == ("currency", purse, None, "")
        words.require_election(row)
        page = begin(visitor, person)
        assert "You are paid in PKR, from Convertibility trust." in page.content.decode()
        done = choose(visitor, person, "bitcoin", digits())
        assert "paid in bitcoin, at your own address" in done.content.decode()
        newest = elections.newest(Enrollment.objects.filter(pk=person.pk)).get()
        assert (newest.choice, newest.purse) == ("bitcoin", None)
        for response in (page, done):
            browsing.require_strict(response)

    def test_says_nothing_of_an_account_that_the_registry_has(
        self, visitor: Client, trust: Trust, person: Enrollment, officer: User
    ) -> None:
        banking.make_account(person.beneficiary, officer)
        begin(visitor, person)
        done = choose(visitor, person, str(trust.purses.get().pk), digits())
        assert "Bring its number" not in done.content.decode()

    def test_is_taken_from_the_next_list_on(
        self, visitor: Client, trust: Trust, person: Enrollment, officer: User
    ) -> None:
        begin(visitor, person)
        choose(visitor, person, str(trust.purses.get().pk), digits())
        draft = factories.make_disbursement(person.program, officer, amounts_sat=[60_000])
        draft.payments.update(beneficiary=person.beneficiary)
        disbursements.submit(by=officer, disbursement_id=draft.pk)
        assert TrustLeg.objects.get().payment.disbursement == draft

    def test_records_who_did_it_by_which_door(
        self, visitor: Client, trust: Trust, person: Enrollment
    ) -> None:
        begin(visitor, person)
        choose(visitor, person, str(trust.purses.get().pk), digits())
        found = AuditEvent.objects.filter(scope=person.program.scope, door="person").order_by("pk")
        assert list(found.values_list("action", flat=True)) == ["person.ask_code", "election.make"]


class TestRefusals:
    @pytest.mark.parametrize(
        "changes", [{"national_id": "35202-7654321-2"}, {"national_id": "none"}, {"reference": "nobody"}]
    )
    def test_says_the_same_of_all_that_does_not_fit_and_sends_nothing(
        self, visitor: Client, trust: Trust, person: Enrollment, changes: dict[str, str]
    ) -> None:
        page = begin(visitor, person, **changes)
        assert page.status_code == 404
        assert "The numbers do not fit together." in page.content.decode()
        assert not Message.objects.exists()

    @pytest.mark.parametrize("wrong", ["", "000000", "12345x", "9" * 20])
    def test_refuses_wrong_digits_and_counts_them(
        self, visitor: Client, trust: Trust, person: Enrollment, wrong: str
    ) -> None:
        begin(visitor, person)
        if wrong == digits():
            wrong = "000001"
        page = choose(visitor, person, str(trust.purses.get().pk), wrong)
        assert page.status_code == (404 if wrong else 422)
        assert not Election.objects.exists()
        assert PersonCode.objects.get().attempts == (1 if wrong else 0)

    def test_takes_digits_once(self, visitor: Client, trust: Trust, person: Enrollment) -> None:
        begin(visitor, person)
        code, purse = digits(), str(trust.purses.get().pk)
        assert choose(visitor, person, purse, code).status_code == 200
        assert choose(visitor, person, "bitcoin", code).status_code == 404
        assert Election.objects.count() == 1

    def test_takes_no_digits_after_five_wrong_ones(self, trust: Trust, person: Enrollment) -> None:
        own_elections.begin(**asked(person))
        right = digits()
        wrong = "000000" if right != "000000" else "000001"
        for _ in range(person_codes.MOST_ATTEMPTS):
            with pytest.raises(own_elections.ElectionRefused):
                own_elections.choose(**asked(person), code=wrong, purse_id=None)
        with pytest.raises(own_elections.ElectionRefused):
            own_elections.choose(**asked(person), code=right, purse_id=None)

    def test_takes_no_digits_that_are_old_or_of_an_earlier_message(
        self, trust: Trust, person: Enrollment
    ) -> None:
        own_elections.begin(**asked(person))
        first = digits()
        own_elections.begin(**asked(person))
        second = digits()
        late = timezone.now() + timedelta(minutes=11)
        for code, now in ((first, None), (second, late)):
            if code == second or first != second:
                with pytest.raises(own_elections.ElectionRefused):
                    own_elections.choose(**asked(person), code=code, purse_id=None, now=now)
        assert own_elections.choose(**asked(person), code=second, purse_id=None).choice == "bitcoin"

    def test_sends_no_more_than_five_in_a_day(self, trust: Trust, person: Enrollment) -> None:
        sent = [own_elections.begin(**asked(person)).is_code_sent for _ in range(6)]
        assert sent == [True] * 5 + [False]
        tomorrow = timezone.now() + timedelta(days=1, seconds=1)
        assert own_elections.begin(**asked(person), now=tomorrow).is_code_sent

    def test_sends_whoever_has_no_telephone_to_the_help_desk(
        self, visitor: Client, trust: Trust, person: Enrollment
    ) -> None:
        person.beneficiary.personal |= {"phone": ""}
        person.beneficiary.save()
        page = begin(visitor, person).content.decode()
        assert "Ask at the help desk, where your choice is written down." in page
        assert "<form" not in page

    def test_sends_nothing_where_there_is_nothing_to_choose(
        self, visitor: Client, person: Enrollment
    ) -> None:
        page = begin(visitor, person).content.decode()
        assert "There is nothing else to choose from now." in page
        assert not Message.objects.exists()

    def test_offers_no_trust_that_is_paused_or_that_the_law_stops(
        self, trust: Trust, person: Enrollment
    ) -> None:
        assert [row.trust for row in own_elections.offered(person.program, timezone.now())] == [trust]
        Trust.objects.update(is_paused=True)
        assert own_elections.offered(person.program, timezone.now()) == []
        Trust.objects.update(is_paused=False, policy_profile="pakistan-2026")
        assert own_elections.offered(person.program, timezone.now()) == []

    def test_refuses_a_trust_that_was_paused_meanwhile_and_keeps_the_digits(
        self, visitor: Client, trust: Trust, person: Enrollment
    ) -> None:
        begin(visitor, person)
        purse, code = str(trust.purses.get().pk), digits()
        Trust.objects.update(is_paused=True)
        assert choose(visitor, person, purse, code).status_code == 422
        assert choose(visitor, person, "bitcoin", code).status_code == 200

    def test_lets_nobody_guess_for_long(
        self, visitor: Client, trust: Trust, person: Enrollment, settings: Any
    ) -> None:
        settings.GOVPAY_RATES = settings.GOVPAY_RATES | {"status": 2}
        codes = [begin(visitor, person, national_id="12345-1234567-1").status_code for _ in range(2)]
        assert (codes, begin(visitor, person).status_code) == ([404] * 2, 429)


class TestRows:
    def test_the_database_wants_one_who_said_it(
        self, trust: Trust, person: Enrollment, officer: User
    ) -> None:
        row = Election(enrollment=person, choice="bitcoin", made_at=timezone.now())
        words.sign_election(row)
        with pytest.raises(IntegrityError, match="election_by_one"), transaction.atomic():
            row.save()

    def test_a_code_of_another_choice_is_forged(self, trust: Trust, person: Enrollment) -> None:
        own_elections.begin(**asked(person))
        row = own_elections.choose(**asked(person), code=digits(), purse_id=trust.purses.get().pk)
        row.choice, row.purse = "bitcoin", None
        with pytest.raises(words.ElectionForged):
            words.require_election(row)

    def test_keeps_no_digits(self, trust: Trust, person: Enrollment) -> None:
        own_elections.begin(**asked(person))
        assert digits().encode() not in bytes(PersonCode.objects.get().code_hash)


@pytest.mark.django_db(transaction=True)
def test_two_windows_with_the_same_digits_make_one_election(trust: Trust, person: Enrollment) -> None:
    own_elections.begin(**asked(person))
    code = digits()

    def once() -> Election:
        return own_elections.choose(**asked(person), code=code, purse_id=None)

    _won, second = racing.race(once, once)
    assert isinstance(second.error, own_elections.ElectionRefused)
    assert Election.objects.count() == 1


def asked(person: Enrollment) -> dict[str, Any]:
    """What the services are told first."""
    return {"program": person.program, "reference": person.reference, "national_id": NATIONAL_ID}
