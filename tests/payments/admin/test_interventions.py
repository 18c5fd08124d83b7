"""The pages that ask the engine, with a real node behind their figures, and those on which a second person decides."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from payments.models import Disbursement, Intervention, Payment, Payout, PayoutTx, Program, Wallet
from payments.payout import dispatch
from tests import factories
from tests.regtest.ministry import Ministry, use_node

Browser = Callable[[User], Client]
VERBS = {"bump": "Bump the fee", "child": "Pay by a child", "void": "Give up (void)", "thaw": "Let it go on"}


def page(row: Any, verb: str = "") -> str:
    """The row's page, or a button's."""
    name = row._meta.model_name
    if verb:
        return reverse(f"admin:payments_{name}_{verb}", args=[row.pk])
    return reverse(f"admin:payments_{name}_change", args=[row.pk])


class TestAsk:
    pytestmark = pytest.mark.django_db(transaction=True)

    @pytest.fixture
    def ministry(self, settings: object) -> Ministry:
        use_node(settings)
        return Ministry.open(deposits_sat=[1_000_000])

    @pytest.fixture
    def client_of_treasurer(self, ministry: Ministry, browser: Browser) -> Client:
        return browser(factories.make_member(ministry.program, "treasurer"))

    @pytest.fixture
    def payout(self, ministry: Ministry) -> Payout:
        (found,) = ministry.pay(ministry.release([40_000, 50_000]))
        return found

    def test_for_a_bump_asks_the_rate_shows_the_figures_and_does_it(
        self, payout: Payout, client_of_treasurer: Client
    ) -> None:
        first = client_of_treasurer.post(page(payout, "bump"), {"feerate_sat_vb": "5"})
        assert (first.status_code, first["Location"]) == (302, f"{page(payout, 'bump')}?rate=5")
        shown = client_of_treasurer.get(first["Location"])
        assert "It needs nobody else." in shown.content.decode()
        seen = shown.context["form"].initial["seen_fee_sat"]
        body = {"note": "It waits since noon.", "seen_fee_sat": seen}
        done = client_of_treasurer.post(first["Location"], body)
        assert done["Location"] == page(payout)
        asked = Intervention.objects.get()
        assert (asked.kind, asked.status, asked.preview["new_fee_sat"]) == ("bump", "approved", seen)
        dispatch.intervene(intervention_id=asked.pk)
        asked.refresh_from_db()
        assert asked.version is not None
        assert (asked.status, asked.version.kind, asked.version.fee_sat) == ("done", "bump", seen)

    @pytest.mark.parametrize("rate", ["", "0", "51", "x", "1.2345"])
    def test_says_beside_the_field_what_is_wrong_with_a_rate(
        self, payout: Payout, client_of_treasurer: Client, rate: str
    ) -> None:
        answer = client_of_treasurer.post(page(payout, "bump"), {"feerate_sat_vb": rate})
        assert answer.status_code == 422
        assert Intervention.objects.count() == 0

    def test_for_a_void_waits_for_somebody_else_who_then_decides(
        self, ministry: Ministry, payout: Payout, client_of_treasurer: Client, browser: Browser
    ) -> None:
        shown = client_of_treasurer.get(page(payout, "void"))
        seen = shown.context["form"].initial["seen_fee_sat"]
        client_of_treasurer.post(page(payout, "void"), {"note": "Wrong list.", "seen_fee_sat": seen})
        asked = Intervention.objects.get()
        assert (asked.kind, asked.status) == ("void", "proposed")
        own = client_of_treasurer.get(page(asked)).content.decode()
        assert "You proposed it, so that somebody else decides" in own
        assert page(asked, "approve") not in own
        refused = client_of_treasurer.post(page(asked, "approve"), {"note": ""})
        assert refused.status_code == 403
        second = browser(ministry.approver)
        assert f"Intervention {asked.pk}" in second.get(reverse("admin:index")).content.decode()
        mine = second.get(reverse("admin:payments_intervention_changelist") + "?turn=mine")
        assert [row.pk for row in mine.context["cl"].result_list] == [asked.pk]
        assert page(asked, "approve") in second.get(page(asked)).content.decode()
        second.post(page(asked, "approve"), {"note": "Compared."})
        asked.refresh_from_db()
        assert (asked.status, asked.decided_by) == ("approved", ministry.approver)

    def test_is_refused_when_it_costs_more_than_was_on_the_page(
        self, payout: Payout, client_of_treasurer: Client
    ) -> None:
        answer = client_of_treasurer.post(page(payout, "void"), {"note": "x", "seen_fee_sat": 1})
        assert answer.status_code == 409
        assert "look at the figures again" in answer.content.decode()
        assert (Intervention.objects.count(), PayoutTx.objects.count()) == (0, 1)

    def test_without_a_reason_does_nothing(self, payout: Payout, client_of_treasurer: Client) -> None:
        assert client_of_treasurer.post(page(payout, "void"), {"note": ""}).status_code == 422
        assert Intervention.objects.count() == 0


@pytest.mark.django_db
class TestButtons:
    @pytest.mark.parametrize(
        ("status", "verbs"),
        [
            ("sealed", set()),
            ("committed", {"bump", "child", "void"}),
            ("sent", {"bump", "child", "void"}),
            ("mined", set()),
            ("settled", set()),
            ("frozen", {"void", "thaw"}),
            ("voiding", {"void"}),
            ("voided", set()),
        ],
    )
    def test_are_for_treasurers_where_the_status_allows(
        self, furnished: dict[str, Any], program: Program, browser: Browser, status: str, verbs: set[str]
    ) -> None:
        payout = furnished["payout"]
        Payout.objects.filter(pk=payout.pk).update(status=status)
        text = browser(factories.make_member(program, "treasurer")).get(page(payout)).content.decode()
        assert {verb for verb in VERBS if page(payout, verb) in text} == verbs

    @pytest.mark.parametrize(
        ("status", "said"),
        [("proposed", "is to be decided first."), ("approved", "is being done first.")],
    )
    def test_wait_for_what_was_asked_before(
        self, furnished: dict[str, Any], program: Program, browser: Browser, status: str, said: str
    ) -> None:
        payout, asked = furnished["payout"], furnished["intervention"]
        Payout.objects.filter(pk=payout.pk).update(status="sent")
        Intervention.objects.filter(pk=asked.pk).update(status=status, payout=payout)
        text = browser(factories.make_member(program, "treasurer")).get(page(payout)).content.decode()
        assert not [verb for verb in VERBS if page(payout, verb) in text]
        assert f"Intervention {asked.pk} {said}" in text

    @pytest.mark.parametrize("role", ["officer", "approver", "releaser", "auditor"])
    def test_are_not_for_others(
        self, furnished: dict[str, Any], program: Program, browser: Browser, role: str
    ) -> None:
        payout = furnished["payout"]
        client = browser(factories.make_member(program, role, "somebody"))
        assert not [verb for verb in VERBS if page(payout, verb) in client.get(page(payout)).content.decode()]
        before = Intervention.objects.count()
        for verb in VERBS:
            assert client.post(page(payout, verb), {"note": "x"}).status_code in (302, 403, 422)
        assert Intervention.objects.count() == before

    def test_of_a_halted_wallet_are_for_treasurers(
        self, furnished: dict[str, Any], program: Program, browser: Browser, approver: User
    ) -> None:
        wallet = furnished["wallet"]
        treasurer = browser(factories.make_member(program, "treasurer"))
        assert page(wallet, "lift") not in treasurer.get(page(wallet)).content.decode()
        Wallet.objects.update(halted_at=timezone.now(), halt_code="wallet_changed", halt_reason="Another.")
        assert page(wallet, "lift") in treasurer.get(page(wallet)).content.decode()
        assert "Another." in treasurer.get(page(wallet, "lift")).content.decode()
        assert page(wallet, "lift") not in browser(approver).get(page(wallet)).content.decode()

    def test_take_back_what_one_proposed(
        self, furnished: dict[str, Any], program: Program, browser: Browser, approver: User
    ) -> None:
        asked = furnished["intervention"]
        proposer = factories.make_member(program, "treasurer")
        Intervention.objects.filter(pk=asked.pk).update(status="proposed", proposed_by=proposer)
        for user, verbs in ((approver, {"approve", "reject"}), (proposer, {"withdraw"})):
            text = browser(user).get(page(asked)).content.decode()
            assert {verb for verb in ("approve", "reject", "withdraw") if page(asked, verb) in text} == verbs
        refused = browser(approver).post(page(asked, "withdraw"), {"note": "Mine."})
        asked.refresh_from_db()
        assert (refused.status_code, asked.status) == (403, "proposed")
        browser(proposer).post(page(asked, "withdraw"), {"note": "The wrong payout."})
        asked.refresh_from_db()
        assert asked.status == "withdrawn"

    def test_of_a_decision_lead_back_who_may_not_press_them(
        self, furnished: dict[str, Any], program: Program, browser: Browser, officer: User
    ) -> None:
        row = furnished["intervention"]
        dalia = factories.make_member(program, "treasurer", "dalia")
        Intervention.objects.filter(pk=row.pk).update(status="proposed", proposed_by=dalia)
        for verb in ("approve", "reject"):
            assert browser(officer).get(page(row, verb))["Location"] == page(row)
            assert browser(dalia).get(page(row, verb))["Location"] == page(row)
            second = browser(factories.make_member(program, "treasurer", f"second-{verb}"))
            assert second.get(page(row, verb)).status_code == 200

    def test_lead_back_while_something_is_asked_already(
        self, furnished: dict[str, Any], program: Program, browser: Browser
    ) -> None:
        payout, row = furnished["payout"], furnished["intervention"]
        Intervention.objects.filter(pk=row.pk).update(status="proposed", payout=payout)
        client = browser(factories.make_member(program, "treasurer", "dalia"))
        assert client.get(page(payout, "bump"))["Location"] == page(payout)
        assert f"Intervention {row.pk} is to be decided first." in client.get(page(payout)).content.decode()

    def test_reissues_what_is_void(self, furnished: dict[str, Any], officer: User, browser: Browser) -> None:
        payout = furnished["payout"]
        client = browser(officer)
        assert page(payout, "reissue") not in client.get(page(payout)).content.decode()
        Payout.objects.filter(pk=payout.pk).update(status="voided")
        Payment.objects.filter(payout=payout).update(status="voided")
        assert page(payout, "reissue") in client.get(page(payout)).content.decode()
        client.post(page(payout, "reissue"))
        made = Disbursement.objects.latest("pk")
        new = Payment.objects.filter(disbursement=made).order_by("line")[0]
        old = Payment.objects.get(pk=new.reissue_of_id)
        assert (made.status, made.payment_count) == ("draft", 2)
        text = f"It stands in for 2 voided payments of list {payout.disbursement_id}."
        assert text in client.get(page(made)).content.decode()
        asked = client.get(page(made, "submit")).context["page"].facts
        assert dict(asked)["Stands in for"] == f"2 voided payments of list {payout.disbursement_id}"
        shown = client.get(page(payout)).content.decode()
        assert f"In its place stands list {made.pk} (2 payments)." in shown
        assert page(payout, "reissue") not in shown
        assert f"stands in for payment {old.pk}" in client.get(page(new)).content.decode()
        assert f"reissued as payment {new.pk}" in client.get(page(old)).content.decode()
        again = client.post(page(payout, "reissue"))
        assert (again.status_code, Disbursement.objects.latest("pk")) == (409, made)
