"""The page where a person asks how far their payments are, and the receipt that it leads to (A37)."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from payments.models import Disbursement, Enrollment, Payment, Payout, Program, TrustLeg
from payments.person import receipt, status
from payments.services import elections, entitlements, holds
from payments.states import LegStatus, PaymentStatus
from tests import claiming, factories
from tests.payments.person import browsing
from tests.payments.trust.conftest import Three, give_price, make_list, release
from tests.payments.trust.test_legs import settle

pytestmark = pytest.mark.django_db

PAGE = "/person/status/"
NATIONAL_ID = "35202-7654321-{}"


@pytest.fixture
def released(program: Program, officer: User, approver: User, releaser: User) -> Disbursement:
    """A released list of two, whose people have known ids."""
    factories.fund(program, 1_000_000)
    draft = factories.make_disbursement(program, officer, amounts_sat=[60_000, 70_000])
    for line in Payment.objects.filter(disbursement=draft):
        claiming.know(line.beneficiary, NATIONAL_ID.format(line.line))
    return claiming.release(draft, officer, approver, releaser)


def fields(released: Disbursement, line: int = 1, **changes: Any) -> dict[str, Any]:
    """What the person of a line fills in."""
    person = claiming.person_of(released, line)
    national_id = NATIONAL_ID.format(line)
    return {
        "program": person.program.code,
        "reference": person.reference,
        "national_id": national_id,
    } | changes


class TestStatus:
    def test_shows_the_person_their_payment_and_nobody_elses(
        self, visitor: Client, released: Disbursement
    ) -> None:
        response = browsing.send(visitor, PAGE, **fields(released))
        page = response.content.decode()
        assert response.status_code == 200
        assert "60,000 sat" in page
        assert "It will be sent" in page
        assert "70,000" not in page
        assert "/receipt/" not in page
        browsing.require_strict(response)

    @pytest.mark.parametrize(
        "changes",
        [
            {"national_id": NATIONAL_ID.format(2)},
            {"national_id": "none"},
            {"reference": "nobody"},
            {"reference": "nobody", "national_id": "none"},
        ],
    )
    def test_says_the_same_of_all_that_does_not_fit(
        self, visitor: Client, released: Disbursement, changes: dict[str, str]
    ) -> None:
        response = browsing.send(visitor, PAGE, **fields(released, **changes))
        assert response.status_code == 404
        page = response.content.decode()
        assert "The numbers do not fit together." in page
        assert "60,000" not in page

    def test_shows_nothing_of_lists_that_were_not_released(
        self, visitor: Client, program: Program, officer: User
    ) -> None:
        draft = factories.make_disbursement(program, officer, amounts_sat=[60_000])
        claiming.know(Payment.objects.get(disbursement=draft).beneficiary, NATIONAL_ID.format(1))
        page = browsing.send(visitor, PAGE, **fields(draft)).content.decode()
        assert "Nothing has been released for you yet." in page

    def test_shows_nothing_of_another_program(
        self, visitor: Client, released: Disbursement, officer: User
    ) -> None:
        asked = fields(released, program="OTHER")
        other = factories.make_program("OTHER")
        person = claiming.person_of(released, 1)
        Enrollment.objects.create(
            program=other, beneficiary=person.beneficiary, reference=person.reference, created_by=officer
        )
        page = browsing.send(visitor, PAGE, **asked).content.decode()
        assert "Nothing has been released for you yet." in page

    def test_says_what_is_held(self, visitor: Client, released: Disbursement, officer: User) -> None:
        line = Payment.objects.get(disbursement=released, line=1)
        holds.hold(by=officer, payment_id=line.pk, note="a question")
        page = browsing.send(visitor, PAGE, **fields(released)).content.decode()
        assert "It is held; ask at the help desk" in page
        assert "a question" not in page

    def test_says_of_what_was_claimed_that_it_comes_and_then_that_another_line_pays_it(
        self, visitor: Client, program: Program, officer: User, approver: User, releaser: User
    ) -> None:
        factories.fund(program, 1_000_000)
        draft = claiming.waiting_list(program, officer, amounts_sat=[60_000], without=[1])
        waiting = claiming.release(draft, officer, approver, releaser)
        asked = fields(waiting, national_id=claiming.NATIONAL_ID.format(1))

        def page() -> str:
            return str(browsing.send(visitor, PAGE, **asked).content.decode())

        assert "It waits until you bring an address" in page()
        claiming.bring_address(waiting, 1, officer)
        assert "It will be sent" in page()
        listed = entitlements.list_claimed(by=officer, disbursement_id=waiting.pk)
        claiming.release(listed, officer, approver, releaser)
        shown = page()
        assert "It is paid another time" in shown
        assert "It will be sent" in shown
        assert "It is not paid" not in shown

    def test_lets_nobody_guess_for_long(self, visitor: Client, released: Disbursement, settings: Any) -> None:
        settings.GOVPAY_RATES = settings.GOVPAY_RATES | {"status": 3}
        wrong = fields(released, national_id="12345-1234567-1")
        codes = [browsing.send(visitor, PAGE, **wrong).status_code for _ in range(3)]
        response = browsing.send(visitor, PAGE, **fields(released))
        assert (codes, response.status_code) == ([404] * 3, 429)
        assert "asked too often" in response.content.decode()
        assert browsing.send(visitor, PAGE, **fields(released, line=2)).status_code == 200

    def test_reads_as_much_for_many_payments_as_for_one(
        self, visitor: Client, released: Disbursement, officer: User, approver: User, releaser: User
    ) -> None:
        def count() -> int:
            with CaptureQueriesContext(
                connection,
            ) as found:
                assert browsing.send(visitor, PAGE, **fields(released)).status_code == 200
            return len(found)

        one = count()
        person = claiming.person_of(released, 1).beneficiary
        for number in range(3):
            again = factories.make_disbursement(
                released.program, officer, amounts_sat=[1_000], period=f"later-{number}"
            )
            Payment.objects.filter(disbursement=again).update(beneficiary=person)
            claiming.release(again, officer, approver, releaser)
        assert count() == one


class TestStates:
    """Every state that a payment can be in has words."""

    @pytest.mark.parametrize("payout_status", [None, *Payout._meta.get_field("status").choices])
    @pytest.mark.parametrize("own", list(PaymentStatus))
    @pytest.mark.parametrize("leg", [None, *LegStatus.values])
    def test_has_words(self, own: PaymentStatus, payout_status: Any, leg: str | None) -> None:
        row = {
            "status": own,
            "rail": "bitcoin",
            "script_pubkey": b"x",
            "reissued_by_id": None,
            "entitled": None,
            "settled_at": None,
            "sent_at": None,
            "payout_status": payout_status and payout_status[0],
            "leg": leg,
            "instead": "",
        }
        assert status._state(row) in status.STATES


class TestReceipt:
    @pytest.mark.parametrize("ticket", ["1", "1:x", "1:AAAA", "x:y:z"])
    def test_is_opened_by_our_own_addresses_alone(self, visitor: Client, ticket: str) -> None:
        response = visitor.get(f"/person/receipt/{ticket}/")
        assert response.status_code == 404
        assert "There is no such receipt." in response.content.decode()
        assert visitor.get(f"/person/receipt/{ticket}/receipt.json").status_code == 404

    def test_is_not_there_before_the_payment_is(self, visitor: Client, released: Disbursement) -> None:
        line = Payment.objects.get(disbursement=released, line=1)
        response = visitor.get(receipt.address_of(line.pk))
        assert response.status_code == 409
        assert "The receipt is not ready yet." in response.content.decode()

    def test_is_counted_by_address(
        self, visitor: Client, released: Disbursement, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from payments.person.door import FormsOfAddress

        monkeypatch.setattr(FormsOfAddress, "rate", "2/min", raising=False)
        address = receipt.address_of(Payment.objects.get(disbursement=released, line=1).pk)
        assert [visitor.get(address).status_code for _ in range(3)] == [409, 409, 429]


class TestTrust:
    """Who elected currency is paid once the trust's bank has paid, and not when its bitcoin has reached the trust."""

    @pytest.fixture
    def drained(self, program: Program, officer: User, approver: User, releaser: User) -> Disbursement:
        """A released list, of which a trust took the first of two lines."""
        give_price("28100000")
        trust = factories.make_trust(cash_minor=1_449_988)
        three = Three(officer, approver, releaser)
        draft = make_list(program, three, trust, [51_601] * 2)
        for row in Payment.objects.filter(disbursement=draft):
            claiming.know(row.beneficiary, NATIONAL_ID.format(row.line))
        return release(draft, three)

    @pytest.mark.parametrize(
        ("leg", "payout", "words"),
        [
            ("taken", "", "A trust takes the bitcoin, and then its bank pays you"),
            ("owed", "settled", "The trust has the bitcoin; its bank will be told to pay you"),
            ("instructed", "settled", "The bank has been told to pay you"),
            ("paid", "settled", "Paid, for good"),
        ],
    )
    def test_says_how_far_the_currency_is(
        self, visitor: Client, drained: Disbursement, leg: str, payout: str, words: str
    ) -> None:
        if payout:
            settle(drained, line=1)
        TrustLeg.objects.filter(payment__disbursement=drained, payment__line=1).update(status=leg)
        page = browsing.send(visitor, PAGE, **fields(drained)).content.decode()
        assert words in page
        assert ("Paid, for good" in page) == (leg == "paid")
        assert "14,499.88 PKR" in page
        # The address is the trust's, and no concern of the person's.
        assert "To the address" not in page
        assert ("/receipt/" in page) == bool(payout)

    def test_asks_for_what_is_taken_instead_and_then_says_that_it_is_paid_another_time(
        self, visitor: Client, drained: Disbursement, officer: User
    ) -> None:
        page = browsing.send(visitor, PAGE, **fields(drained, 2)).content.decode()
        assert "The trust cannot pay you now; say at the help desk what you take instead" in page
        assert "The trust pays you" not in page
        held = Payment.objects.get(disbursement=drained, line=2)
        elections.ask_again(by=officer, payment_id=held.pk, note="By call.")
        assert (
            "It is paid another time" in browsing.send(visitor, PAGE, **fields(drained, 2)).content.decode()
        )
