"""Deciding about lists in the admin: each button is the service's rule, and a refusal moves nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from ledger.models import Entry
from payments.models import Disbursement, Payment, Program, StatusChange
from payments.services import disbursements
from tests import factories
from tests.payments.admin import scenes

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]
VERBS = ["submit", "approve", "release", "reject", "cancel"]


def url(row: Disbursement, verb: str) -> str:
    return reverse(f"admin:payments_disbursement_{verb}", args=[row.pk])


def page(row: Disbursement) -> str:
    return reverse("admin:payments_disbursement_change", args=[row.pk])


def snapshot() -> dict[str, Any]:
    """Everything that a decision may move."""
    return {
        "disbursements": list(Disbursement.objects.order_by("pk").values()),
        "payments": list(Payment.objects.order_by("pk").values()),
        "history": StatusChange.objects.count(),
        "entries": Entry.objects.count(),
    }


def manifest(row: Disbursement) -> dict[str, str]:
    return {"manifest_hash": bytes(row.manifest_hash or b"").hex()}


@pytest.fixture
def draft(program: Program, officer: User) -> Disbursement:
    factories.fund(program, 10_000_000)
    return factories.make_disbursement(program, officer)


@pytest.fixture
def submitted(draft: Disbursement, officer: User) -> Disbursement:
    return disbursements.submit(by=officer, disbursement_id=draft.pk)


@pytest.fixture
def approved(submitted: Disbursement, approver: User) -> Disbursement:
    return disbursements.approve(
        by=approver, disbursement_id=submitted.pk, manifest_hash=bytes(submitted.manifest_hash or b"")
    )


class TestSubmit:
    def test_fixes_the_list(self, draft: Disbursement, officer: User, browser: Browser) -> None:
        client = browser(officer)
        shown = client.get(url(draft, "submit")).content.decode()
        assert "180,000 sat" in shown
        answer = client.post(url(draft, "submit"))
        assert (answer.status_code, answer["Location"]) == (302, page(draft))
        draft.refresh_from_db()
        assert draft.status == "submitted"
        assert draft.manifest_hash is not None

    def test_shows_every_line_that_cannot_be_paid(
        self, draft: Disbursement, officer: User, browser: Browser
    ) -> None:
        for payment in Payment.objects.filter(disbursement=draft, line__lte=2):
            payment.beneficiary.destinations.all().delete()
        before = snapshot()
        answer = browser(officer).post(url(draft, "submit"))
        assert answer.status_code == 422
        assert answer.content.decode().count("destination_missing") == 2
        assert snapshot() == before


class TestApprove:
    def test_shows_what_is_agreed_to_and_agrees_to_it(
        self, submitted: Disbursement, approver: User, browser: Browser
    ) -> None:
        client = browser(approver)
        shown = client.get(url(submitted, "approve")).content.decode()
        digest = bytes(submitted.manifest_hash or b"").hex()
        assert f'value="{digest}"' in shown
        for fact in (
            "180,000 sat",
            f"{submitted.fee_reserved_sat:,} sat",
            "10,000,000 sat",
            "2026-11 pension",
        ):
            assert fact in shown
        answer = client.post(url(submitted, "approve"), manifest(submitted))
        assert (answer.status_code, answer["Location"]) == (302, page(submitted))
        submitted.refresh_from_db()
        assert (submitted.status, submitted.approved_by) == ("approved", approver)

    def test_refuses_the_officer_who_made_the_list(
        self, submitted: Disbursement, officer: User, program: Program, browser: Browser
    ) -> None:
        factories.change_role(program, officer, "approver")
        before = snapshot()
        client = browser(officer)
        answer = client.post(url(submitted, "approve"), manifest(submitted))
        assert answer.status_code == 403
        assert "The officer who made a list cannot approve it." in answer.content.decode()
        assert url(submitted, "approve") not in client.get(page(submitted)).content.decode()
        assert snapshot() == before

    @pytest.mark.parametrize("posted", ["00" * 32, "", "no hash", "zz" * 32])
    def test_refuses_another_manifest_than_the_one_on_the_page(
        self, posted: str, submitted: Disbursement, approver: User, browser: Browser
    ) -> None:
        before = snapshot()
        answer = browser(approver).post(url(submitted, "approve"), {"manifest_hash": posted})
        assert answer.status_code == 409
        assert "not the one you looked at" in answer.content.decode()
        assert snapshot() == before

    def test_refuses_what_the_wallet_does_not_carry_with_the_figures(
        self, program: Program, officer: User, approver: User, browser: Browser
    ) -> None:
        made = factories.make_disbursement(program, officer)
        made = disbursements.submit(by=officer, disbursement_id=made.pk)
        before = snapshot()
        client = browser(approver)
        assert "do not carry this list" in client.get(url(made, "approve")).content.decode()
        answer = client.post(url(made, "approve"), manifest(made))
        assert answer.status_code == 409
        assert "0 sat are free" in answer.content.decode()
        assert snapshot() == before


class TestRelease:
    def test_lets_the_engine_pay(self, approved: Disbursement, releaser: User, browser: Browser) -> None:
        client = browser(releaser)
        assert "state is not known" in client.get(url(approved, "release")).content.decode()
        answer = client.post(url(approved, "release"), manifest(approved))
        assert answer.status_code == 302
        approved.refresh_from_db()
        assert (approved.status, approved.released_by) == ("released", releaser)

    @pytest.mark.parametrize("who", ["maker", "approver"])
    def test_refuses_somebody_who_had_a_part_in_it(
        self, who: str, approved: Disbursement, program: Program, browser: Browser
    ) -> None:
        user = approved.made_by if who == "maker" else approved.approved_by
        assert user is not None
        factories.change_role(program, user, "releaser")
        before = snapshot()
        client = browser(User.objects.get(pk=user.pk))
        answer = client.post(url(approved, "release"), manifest(approved))
        assert answer.status_code == 403
        assert "three different people" in answer.content.decode()
        assert url(approved, "release") not in client.get(page(approved)).content.decode()
        assert snapshot() == before

    def test_refuses_a_list_that_changed_since_its_approval(
        self, approved: Disbursement, releaser: User, browser: Browser
    ) -> None:
        looked_at = manifest(approved)
        Payment.objects.filter(disbursement=approved, line=1).update(amount_sat=50_001)
        before = snapshot()
        answer = browser(releaser).post(url(approved, "release"), looked_at)
        assert answer.status_code == 409
        assert snapshot() == before


class TestReject:
    def test_keeps_the_reason(self, submitted: Disbursement, approver: User, browser: Browser) -> None:
        answer = browser(approver).post(url(submitted, "reject"), {"note": "Two of them are dead."})
        assert answer.status_code == 302
        submitted.refresh_from_db()
        assert submitted.status == "rejected"
        assert (
            StatusChange.objects.get(subject="disbursement", new="rejected").note == "Two of them are dead."
        )

    @pytest.mark.parametrize("note", ["", "   "])
    def test_refuses_without_a_reason(
        self, note: str, submitted: Disbursement, approver: User, browser: Browser
    ) -> None:
        before = snapshot()
        assert browser(approver).post(url(submitted, "reject"), {"note": note}).status_code == 422
        assert snapshot() == before


class TestCancel:
    def test_lifts_the_encumbrance(self, approved: Disbursement, officer: User, browser: Browser) -> None:
        entries = Entry.objects.count()
        answer = browser(officer).post(url(approved, "cancel"), {"note": "Wrong month."})
        assert answer.status_code == 302
        approved.refresh_from_db()
        assert approved.status == "cancelled"
        assert Entry.objects.count() == entries + 1


class TestEveryVerb:
    @pytest.mark.parametrize("method", ["get", "post"])
    @pytest.mark.parametrize("verb", VERBS)
    def test_does_not_know_the_list_of_another_program(
        self, verb: str, method: str, submitted: Disbursement, outsider: User, browser: Browser
    ) -> None:
        before = snapshot()
        data = {**manifest(submitted), "note": "mine"}
        assert getattr(browser(outsider), method)(url(submitted, verb), data).status_code == 404
        assert snapshot() == before

    @pytest.mark.parametrize("verb", VERBS)
    def test_refuses_an_auditor(
        self, verb: str, submitted: Disbursement, auditor: User, browser: Browser
    ) -> None:
        before = snapshot()
        client = browser(auditor)
        data = {**manifest(submitted), "note": "mine"}
        assert client.post(url(submitted, verb), data).status_code == 403
        assert url(submitted, verb) not in client.get(page(submitted)).content.decode()
        assert snapshot() == before

    @pytest.mark.parametrize("verb", VERBS)
    def test_refuses_a_superuser_without_a_role(
        self, verb: str, submitted: Disbursement, browser: Browser
    ) -> None:
        before = snapshot()
        data = {**manifest(submitted), "note": "mine"}
        root = User.objects.create_superuser("root")
        assert browser(root).post(url(submitted, verb), data).status_code == 404
        assert snapshot() == before

    @pytest.mark.parametrize(
        ("status", "who", "offered"),
        [
            ("draft", "officer", {"submit", "cancel"}),
            ("draft", "approver", set()),
            ("submitted", "officer", {"cancel"}),
            ("submitted", "approver", {"approve", "reject"}),
            ("submitted", "releaser", set()),
            ("approved", "officer", {"cancel"}),
            ("approved", "approver", {"cancel"}),
            ("approved", "releaser", {"release", "cancel"}),
            ("approved", "auditor", set()),
        ],
    )
    def test_is_offered_where_status_and_role_allow_it(
        self,
        status: str,
        who: str,
        offered: set[str],
        draft: Disbursement,
        officer: User,
        request: pytest.FixtureRequest,
        browser: Browser,
    ) -> None:
        if status != "draft":
            request.getfixturevalue(status)
        shown = browser(request.getfixturevalue(who)).get(page(draft)).content.decode()
        assert {verb for verb in VERBS if url(draft, verb) in shown} == offered

    def test_refuses_a_second_click(self, submitted: Disbursement, approver: User, browser: Browser) -> None:
        client = browser(approver)
        assert client.post(url(submitted, "approve"), manifest(submitted)).status_code == 302
        before = snapshot()
        answer = client.post(url(submitted, "approve"), manifest(submitted))
        assert answer.status_code == 409
        assert "The disbursement is approved, not submitted." in answer.content.decode()
        assert snapshot() == before

    def test_needs_the_forms_own_token(self, submitted: Disbursement, approver: User) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(approver)
        before = snapshot()
        assert client.post(url(submitted, "approve"), manifest(submitted)).status_code == 403
        assert snapshot() == before


class TestPage:
    def test_shows_progress_and_what_is_stuck(
        self, approved: Disbursement, releaser: User, auditor: User, browser: Browser
    ) -> None:
        released = disbursements.release(
            by=releaser,
            disbursement_id=approved.pk,
            manifest_hash=bytes(approved.manifest_hash or b""),
        )
        payments = list(Payment.objects.filter(disbursement=released).order_by("line"))
        scenes.make_payout(released, payments[:2], status="frozen", problem="A stranger spent its coin.")
        shown = browser(auditor).get(page(released)).content.decode()
        assert "A stranger spent its coin." in shown
        assert "110,000 sat" in shown
        assert "a releaser let the engine pay" in shown
