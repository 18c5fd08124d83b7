"""Acts that move money need a code of the last minutes: the table of them, walked over the API and the admin."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, URLResolver, resolve, reverse
from rest_framework.test import APIClient

from govpay.login import stepup
from govpay.models import TokenProof
from payments.models import Disbursement, Program
from payments.services import disbursements
from tests import factories
from tests.govpay import routes
from tests.govpay.login.conftest import CODE, Enroll, bearer, password, post, shown, wrong
from tests.payments.api import expect

pytestmark = pytest.mark.django_db

STEP_UP = "/api/v1/auth/step-up/"
# Whatever ends like this lets money go, or lets somebody else's word stand.
WORDS = {
    *("approve", "release", "agree", "confirm", "lift", "unhalt", "resume", "seal"),
    *("signatures", "manifest-signatures", "sign-manifest"),
}
# Acts by another name.
# About one's own second factors: before the first there is another answer than after.
OF_FACTORS = {
    *("authenticator-enroll", "authenticator-confirm", "authenticator-remove", "recovery-codes"),
    *("security-key-question", "security-key-add", "security-key-remove"),
}
ALSO_OF_API = {
    *("approver-keys", "tokens", "program-members", "webhook-secrets"),
    *(
        "bank-file-fetch",
        "trust-bank-file-fetch",
        "trust-decision-sign",
        "voucher-cancel",
        "travel-record-fetch",
    ),
    *(OF_FACTORS - {"authenticator-confirm"}),
}
ALSO_OF_ADMIN = {
    *("payments_disbursement_approver_key", "payments_signingrequest_upload_signatures"),
    *("payments_program_add_member", "auth_user_add", "auth_user_change", "auth_user_password_change"),
    *("auth_group_add", "auth_group_change", "payments_webhook_rotate", "payments_trustdecision_sign"),
    *("payments_bankfile_download", "payments_travelrecord_download", "payments_trustdecision_take_file"),
}


@pytest.fixture
def submitted(program: Program, officer: User) -> Disbursement:
    """A list that waits for its approver."""
    factories.fund(program, 1_000_000)
    made = factories.make_disbursement(program, officer)
    return disbursements.submit(by=officer, disbursement_id=made.pk)


def address(name: str) -> str:
    """Where an act is done to number 1."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return reverse(name, args=[1])


def code_of(response: Any) -> str:
    """The code of a refusal, or nothing."""
    return str(response.json().get("code", "")) if response.content else ""


def view_name(route: str) -> str | None:
    """The name of an address of the API."""
    return resolve("/".join("1" if "{" in part else part for part in route.split("/"))).url_name


def admin_pages() -> Iterator[tuple[str, str]]:
    """Yield the name of each page of the admin, and the last word of its address."""
    found = [entry for entry in admin.site.urls[0] if isinstance(entry, URLResolver)]
    for entry in itertools.chain(admin.site.urls[0], *(resolver.url_patterns for resolver in found)):
        if isinstance(entry, URLPattern) and entry.name:
            yield entry.name, str(entry.pattern).strip("/").split("/")[-1]


class TestTable:
    def test_names_every_act_that_approves_releases_confirms_lifts_or_signs(self) -> None:
        wanted = {
            view_name(route)
            for method, route in routes.operations()
            if method == "POST" and route.strip("/").split("/")[-1] in WORDS
        }
        assert wanted - set(stepup.EXEMPT) == set(stepup.OF_API) - ALSO_OF_API

    def test_names_the_same_acts_of_the_admin(self) -> None:
        wanted = {name for name, last in admin_pages() if last in WORDS}
        assert wanted - set(stepup.EXEMPT) == set(stepup.OF_ADMIN) - ALSO_OF_ADMIN

    def test_exempts_only_what_there_is_and_says_why(self) -> None:
        names = {name for name, _ in admin_pages()} | {view_name(route) for _, route in routes.operations()}
        assert set(stepup.EXEMPT) <= names
        assert set(stepup.EXEMPT).isdisjoint({*stepup.OF_API, *stepup.OF_ADMIN})
        assert all(stepup.EXEMPT.values())

    @pytest.mark.parametrize("act", stepup.OF_API.values(), ids=lambda act: act.api)
    def test_is_kept_by_the_api(self, act: stepup.Act, approver: User, enroll: Enroll, clock: Any) -> None:
        client = bearer(approver)
        free = client.post(address(act.api), {})
        enroll(approver)
        client = bearer(approver)
        expect.problem(client.post(address(act.api), {}), 403, "step_up_needed")
        expect.ok(client.post(STEP_UP, {"otp": shown(approver)}))
        after = client.post(address(act.api), {})
        assert code_of(after) != "step_up_needed"
        if act.api not in OF_FACTORS:
            assert (after.status_code, code_of(after)) == (free.status_code, code_of(free))

    @pytest.mark.parametrize("act", stepup.OF_ADMIN.values(), ids=lambda act: act.admin)
    def test_is_kept_by_the_admin(self, act: stepup.Act, approver: User, enroll: Enroll) -> None:
        browser = Client()
        browser.force_login(approver)
        page = address(f"admin:{act.admin}")
        free = [browser.get(page).status_code, browser.post(page).status_code]
        enroll(approver)
        answer = browser.get(page)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/admin/step-up/?next=%2Fadmin%2F")
        refused = browser.post(page)
        assert (refused.status_code, "step_up_needed" in refused.content.decode()) == (403, True)
        assert browser.post(answer["Location"], {"code": shown(approver)})["Location"] == page
        assert [browser.get(page).status_code, browser.post(page).status_code] == free


class TestApi:
    def test_approves_after_a_code_only(
        self, submitted: Disbursement, approver: User, enroll: Enroll
    ) -> None:
        enroll(approver)
        client = bearer(approver)
        act = f"/api/v1/disbursements/{submitted.pk}/approve/"
        body = {"manifest_hash": bytes(submitted.manifest_hash or b"").hex()}
        expect.problem(client.post(act, body), 403, "step_up_needed")
        submitted.refresh_from_db()
        assert submitted.status == "submitted"
        answer = client.post(STEP_UP, {"otp": shown(approver)})
        assert expect.ok(answer) == {"counts_until": "2026-11-29T12:05:40Z"}
        assert answer["Cache-Control"] == "no-store"
        assert expect.ok(client.post(act, body))["status"] == "approved"

    def test_counts_for_five_minutes(self, approver: User, enroll: Enroll, clock: Any) -> None:
        enroll(approver)
        client = bearer(approver)
        expect.ok(client.post(STEP_UP, {"otp": shown(approver)}))
        clock.shift(299)
        expect.problem(client.post("/api/v1/stops/1/lift/", {}), 404, "not_found")
        clock.shift(1)
        expect.problem(client.post("/api/v1/stops/1/lift/", {}), 403, "step_up_needed")

    def test_counts_for_this_token_only(self, approver: User, enroll: Enroll) -> None:
        enroll(approver)
        one, two = bearer(approver), bearer(approver)
        expect.ok(one.post(STEP_UP, {"otp": shown(approver)}))
        expect.problem(two.post("/api/v1/stops/1/lift/", {}), 403, "step_up_needed")
        one.post("/api/v1/auth/logout/")
        assert TokenProof.objects.count() == 0

    def test_counts_from_signing_in(self, approver: User, enroll: Enroll) -> None:
        enroll(approver)
        client = APIClient()
        token = expect.ok(post(client, approver.username, body={"otp": shown(approver)}))["token"]
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        expect.problem(client.post("/api/v1/stops/1/lift/", {}), 404, "not_found")

    def test_refuses_a_code_that_is_wrong_or_used(self, approver: User, enroll: Enroll, clock: Any) -> None:
        enroll(approver)
        client = bearer(approver)
        code = shown(approver)
        expect.problem(client.post(STEP_UP, {"otp": wrong(approver)}), 403, "code_wrong")
        expect.problem(client.post(STEP_UP, {"otp": code}), 429, "code_too_soon")
        clock.shift(1)
        expect.ok(client.post(STEP_UP, {"otp": code}))
        expect.problem(client.post(STEP_UP, {"otp": code}), 403, "code_wrong")
        expect.problem(client.post(STEP_UP, {}), 400, "validation_error")

    def test_refuses_somebody_without_an_authenticator(self, approver: User) -> None:
        expect.problem(bearer(approver).post(STEP_UP, {"otp": "123456"}), 403, "second_factor_not_enrolled")

    def test_asks_for_no_code_before_other_acts(
        self, submitted: Disbursement, approver: User, enroll: Enroll
    ) -> None:
        enroll(approver)
        client = bearer(approver)
        address = f"/api/v1/disbursements/{submitted.pk}/"
        expect.ok(client.get(address))
        expect.ok(client.get(f"{address}manifest-signatures/"))
        assert expect.ok(client.post(f"{address}reject/", {"note": "wrong month"}))["status"] == "rejected"


class TestAdmin:
    @pytest.fixture
    def browser(self, approver: User, enroll: Enroll) -> Client:
        """The approver, signed in with a code."""
        enroll(approver)
        browser = Client()
        password(browser, approver.username)
        browser.post(CODE, {"code": shown(approver)})
        return browser

    @pytest.mark.usefixtures("required")
    def test_approves_while_the_code_is_fresh(
        self, browser: Client, submitted: Disbursement, clock: Any, approver: User
    ) -> None:
        page = f"/admin/payments/disbursement/{submitted.pk}/approve/"
        body = {"manifest_hash": bytes(submitted.manifest_hash or b"").hex()}
        clock.shift(300)
        refused = browser.post(page, body)
        assert (refused.status_code, "step_up_needed" in refused.content.decode()) == (403, True)
        assert page in refused.content.decode().replace("%2F", "/")
        submitted.refresh_from_db()
        assert submitted.status == "submitted"
        browser.post(f"/admin/step-up/?next={page}", {"code": shown(approver)})
        assert browser.post(page, body).status_code == 302
        submitted.refresh_from_db()
        assert submitted.status == "approved"

    def test_ends_the_proof_with_the_session(
        self, browser: Client, submitted: Disbursement, approver: User
    ) -> None:
        page = f"/admin/payments/disbursement/{submitted.pk}/approve/"
        assert browser.get(page).status_code == 200
        browser.post("/admin/logout/")
        browser.force_login(approver)
        assert browser.get(page).status_code == 302


def test_asks_nobody_who_has_not_enrolled_where_it_is_optional(
    submitted: Disbursement, approver: User
) -> None:
    client = bearer(approver)
    body = {"manifest_hash": bytes(submitted.manifest_hash or b"").hex()}
    expect.ok(client.post(f"/api/v1/disbursements/{submitted.pk}/approve/", body))
