"""In the admin, officers write down what people want, and what they take where no trust took their bitcoin."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from payments.models import Disbursement, Election, Enrollment, Payment, Program, Trust
from payments.services import elections
from tests import factories
from tests.payments.admin.test_access import Browser
from tests.payments.trust.conftest import Three, give_price, make_list, release

pytestmark = pytest.mark.django_db

NOTE = "By telephone."


@pytest.fixture
def trust() -> Trust:
    give_price("28100000")
    return factories.make_trust(cash_minor=1_449_988)


@pytest.fixture
def three(officer: User, approver: User, releaser: User) -> Three:
    return Three(officer, approver, releaser)


@pytest.fixture
def drained(trust: Trust, three: Three, program: Program) -> Disbursement:
    """A released list, of which the trust took the first of two lines."""
    return release(make_list(program, three, trust, [51_601] * 2), three)


def line(draft: Disbursement, number: int) -> Payment:
    return Payment.objects.get(disbursement=draft, line=number)


def url(name: str, pk: int) -> str:
    return reverse(f"admin:payments_{name}", args=[pk])


class TestElection:
    def test_is_written_down_on_the_persons_page(
        self, trust: Trust, officer: User, program: Program, browser: Browser
    ) -> None:
        person, client = factories.make_enrollment(program), browser(officer)
        route, purse = url("enrollment_elect", person.pk), trust.purses.get()
        assert route in client.get(url("enrollment_change", person.pk)).content.decode()
        assert str(purse) in client.get(route).content.decode()
        assert client.post(route, {"wants": purse.pk, "note": NOTE}).status_code == 302
        (made,) = Election.objects.all()
        assert (made.enrollment_id, made.choice, made.purse_id) == (person.pk, "currency", purse.pk)
        assert "What the person elected" in client.get(url("enrollment_change", person.pk)).content.decode()
        assert client.post(route, {"wants": "bitcoin", "note": NOTE}).status_code == 302
        assert elections.newest(Enrollment.objects.filter(pk=person.pk)).get().choice == "bitcoin"

    def test_is_not_offered_without_a_trust(self, officer: User, program: Program, browser: Browser) -> None:
        person = factories.make_enrollment(program)
        shown = browser(officer).get(url("enrollment_change", person.pk)).content.decode()
        assert url("enrollment_elect", person.pk) not in shown

    def test_is_for_officers(self, trust: Trust, approver: User, program: Program, browser: Browser) -> None:
        person = factories.make_enrollment(program)
        answer = browser(approver).post(
            url("enrollment_elect", person.pk), {"wants": "bitcoin", "note": NOTE}
        )
        assert (answer.status_code, Election.objects.count()) == (403, 0)


class TestInstead:
    def test_is_asked_on_the_page_of_the_line_and_listed_on_its_lists(
        self, drained: Disbursement, officer: User, browser: Browser
    ) -> None:
        held, client = line(drained, 2), browser(officer)
        page = client.get(url("payment_change", held.pk)).content.decode()
        assert url("payment_instead", held.pk) in page
        assert "The trust did not take the bitcoin of this line" in page
        form = client.get(url("payment_instead", held.pk)).content.decode()
        # The program owes satoshis, which no agent pays.
        assert ("A voucher" in form, "Currency, from a trust that is asked again" in form) == (False, True)
        answer = client.post(url("payment_instead", held.pk), {"choice": "again", "note": NOTE})
        assert (answer.status_code, line(drained, 2).status) == (302, "cancelled")
        page = client.get(url("payment_change", held.pk)).content.decode()
        assert "The person takes instead: Currency, from a trust that is asked again" in page
        assert url("payment_instead", held.pk) not in page
        route = url("disbursement_choices", drained.pk)
        assert route in client.get(url("disbursement_change", drained.pk)).content.decode()
        assert client.post(route, {"rail": "bitcoin"}).status_code == 302
        made = Disbursement.objects.latest("pk")
        assert (made.status, made.payment_count, made.rail) == ("draft", 1, "bitcoin")
        assert route not in client.get(url("disbursement_change", drained.pk)).content.decode()

    def test_of_a_program_of_money_may_be_a_voucher(self, trust: Trust, browser: Browser) -> None:
        program = factories.make_program("RUPEES", currency="PKR")
        officer = factories.make_member(program, "officer")
        draft = factories.make_disbursement(program, officer, amounts_minor=[1_450_000])
        form = browser(officer).get(url("payment_instead", line(draft, 1).pk)).content.decode()
        assert "A voucher" in form

    def test_is_refused_where_the_trust_took_the_line(
        self, drained: Disbursement, officer: User, browser: Browser
    ) -> None:
        taken, client = line(drained, 1), browser(officer)
        assert (
            url("payment_instead", taken.pk)
            not in client.get(url("payment_change", taken.pk)).content.decode()
        )
        answer = client.post(url("payment_instead", taken.pk), {"choice": "bitcoin", "note": NOTE})
        assert (answer.status_code, line(drained, 1).status) == (409, "pending")
        assert "No trust refused the bitcoin of this line." in answer.content.decode()

    @pytest.mark.parametrize(("who", "status"), [("approver", 403), ("outsider", 404)])
    def test_is_for_officers(
        self,
        drained: Disbursement,
        browser: Browser,
        request: pytest.FixtureRequest,
        who: str,
        status: int,
    ) -> None:
        held, client = line(drained, 2), browser(request.getfixturevalue(who))
        answer = client.post(url("payment_instead", held.pk), {"choice": "bitcoin", "note": NOTE})
        assert (answer.status_code, line(drained, 2).status) == (status, "held")


class TestList:
    def test_is_refused_where_nobody_has_chosen(
        self, drained: Disbursement, officer: User, browser: Browser
    ) -> None:
        client = browser(officer)
        route = url("disbursement_choices", drained.pk)
        assert route not in client.get(url("disbursement_change", drained.pk)).content.decode()
        answer = client.post(route, {"rail": "bitcoin"})
        assert (answer.status_code, Disbursement.objects.count()) == (422, 1)

    def test_is_for_officers(
        self, drained: Disbursement, officer: User, approver: User, browser: Browser
    ) -> None:
        elections.take_bitcoin(by=officer, payment_id=line(drained, 2).pk, note=NOTE)
        client, route = browser(approver), url("disbursement_choices", drained.pk)
        assert route not in client.get(url("disbursement_change", drained.pk)).content.decode()
        answer = client.post(route, {"rail": "bitcoin"})
        assert (answer.status_code, Disbursement.objects.count()) == (403, 1)
