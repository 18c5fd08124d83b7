"""Who sees what: a matrix over every model that payments registers in the admin."""

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import flatten
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from payments import states
from payments.models import Program, StatusChange
from payments.models.encrypted import EncryptedJSONField
from tests import factories
from tests.payments.admin import scenes
from tests.payments.scenery import approver, furnished, officer, program, releaser, scenery

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]

# Of what the history calls otherwise.
MODELS = {"import": "importjob", "decision": "trustdecision", "leg": "trustleg"}
# They belong to no program.
SHARED = [
    *("block", "nodestatus", "stop"),
    *("trust", "trustdecision"),
    *("holding", "institution", "inflowclassing", "purchaseplan", "reserveproof"),
    *("manualprice", "pricebreaker", "pricerule", "pricesource", "quote"),
]
OWNED = sorted(
    model._meta.model_name for model in admin.site._registry if model._meta.app_label == "payments"
)
OWNED = [name for name in OWNED if name not in SHARED]
# Lines of another row's page.
WITHOUT_PAGES = {
    "intakeerror",
    "importfault",
    "importpart",
    "importrow",
    "exclusion",
    "verification",
    "consent",
    "walletscript",
    "changeoutput",
    "installation",
    "alarmdelivery",
    "inclusionproof",
    "approverkey",
    "manifestsignature",
    "partialsignature",
    "heartbeat",
    "mempoollook",
    "event",
    "outcomebaseline",
    "costbaseline",
    "pastmembership",
    "groupmember",
    "tierneed",
    "rollingcap",
    "commitment",
    "webhooksecret",
    "trustpurse",
    "trustseat",
    "trustvote",
    "pricereading",
    "pricestatus",
    "holdingaddress",
    "publication",
    "classedinflow",
    "reservestatus",
    "bankfileline",
    "bankreport",
    "payingaccount",
    "originator",
    "voucherdesk",
    "personcode",
}


def list_url(name: str) -> str:
    return reverse(f"admin:payments_{name}_changelist")


def page_url(name: str, row: Any) -> str:
    return reverse(f"admin:payments_{name}_change", args=[row.pk])


@pytest.fixture
def stranger(program: Program) -> User:
    """An officer of another program, which is furnished too."""
    other = factories.make_program("OTHER")
    cast = [factories.make_member(other, role) for role in ("officer", "approver", "releaser")]
    scenes.furnish(other, *cast)
    return cast[0]


class TestRegister:
    def test_has_every_model_of_payments(self) -> None:
        models = {model._meta.model_name for model in apps.get_app_config("payments").get_models()}
        assert {*OWNED, *SHARED} == models - WITHOUT_PAGES

    def test_shows_no_column_of_what_is_encrypted(self) -> None:
        # Django takes a column before a method of the same name, so that a method that masks one would never be asked.
        for model, model_admin in admin.site._registry.items():
            columns = {field.name: field for field in model._meta.get_fields() if field.concrete}
            shown = flatten(
                [
                    *model_admin.list_display,
                    *(model_admin.fields or ()),
                    *(fields["fields"] for _, fields in model_admin.fieldsets or ()),
                ]
            )
            for name in map(str, shown):
                assert not isinstance(columns.get(name), EncryptedJSONField), (model, name)
                assert name not in columns or not hasattr(model_admin, name), (model, name)


class TestRead:
    @pytest.mark.parametrize("name", [*OWNED, *SHARED])
    def test_shows_list_and_page_to_a_member(
        self, name: str, furnished: dict[str, Any], auditor: User, browser: Browser
    ) -> None:
        client = browser(auditor)
        page = page_url(name, furnished[name])
        answer = client.get(list_url(name))
        assert answer.status_code == 200
        assert page in answer.content.decode()
        assert client.get(page).status_code == 200

    @pytest.mark.parametrize("name", OWNED)
    def test_hides_rows_of_another_program(
        self, name: str, furnished: dict[str, Any], stranger: User, browser: Browser
    ) -> None:
        client = browser(stranger)
        page = page_url(name, furnished[name])
        answer = client.get(list_url(name))
        assert answer.status_code == 200
        assert page not in answer.content.decode()
        assert "PENSIONS" not in answer.content.decode()
        answer = client.get(page)
        assert (answer.status_code, answer["Location"]) == (302, reverse("admin:index"))
        history = client.get(page.replace("/change/", "/history/"))
        assert (history.status_code, history["Location"]) == (302, reverse("admin:index"))

    def test_answers_what_is_not_there_with_a_page_that_leads_back(
        self, furnished: dict[str, Any], officer: User, browser: Browser
    ) -> None:
        nobody = browser(factories.make_user("nobody"))
        for answer, status in (
            (browser(officer).get("/admin/payments/payout/999999/void/"), 404),
            (nobody.get(list_url("payout")), 403),
        ):
            assert answer.status_code == status
            assert 'name="viewport"' in answer.content.decode()
            assert 'href="/admin/"' in answer.content.decode()

    @pytest.mark.parametrize("name", [*OWNED, *SHARED])
    def test_shows_nothing_to_staff_without_a_program(
        self, name: str, furnished: dict[str, Any], browser: Browser
    ) -> None:
        client = browser(factories.make_user("nobody"))
        assert client.get(list_url(name)).status_code == 403
        assert client.get(page_url(name, furnished[name])).status_code in (302, 403)

    @pytest.mark.parametrize("name", [*OWNED, *SHARED])
    def test_sends_a_member_who_is_not_staff_to_the_login(
        self, name: str, furnished: dict[str, Any], officer: User, browser: Browser
    ) -> None:
        User.objects.filter(pk=officer.pk).update(is_staff=False)
        answer = browser(officer).get(list_url(name))
        assert answer.status_code == 302
        assert answer["Location"].startswith(reverse("admin:login"))

    @pytest.mark.parametrize("name", [*OWNED, *SHARED])
    def test_shows_every_program_to_a_superuser(
        self, name: str, furnished: dict[str, Any], browser: Browser
    ) -> None:
        client = browser(User.objects.create_superuser("root"))
        assert page_url(name, furnished[name]) in client.get(list_url(name)).content.decode()
        assert client.get(page_url(name, furnished[name])).status_code == 200

    def test_shows_the_history_of_whatever_has_a_status(
        self, furnished: dict[str, Any], auditor: User, browser: Browser
    ) -> None:
        for subject in states.TRANSITIONS:
            name = MODELS.get(subject, subject)
            row = furnished[name]
            StatusChange.objects.create(subject=subject, subject_id=row.pk, old="a", new="b", reason="r")
            for user in (auditor, User.objects.create_superuser(f"root-{subject}")):
                answer = browser(user).get(list_url("statuschange"), {"subject": subject})
                assert page_url(name, row) in answer.content.decode(), subject

    def test_ends_with_the_membership(
        self, furnished: dict[str, Any], auditor: User, browser: Browser
    ) -> None:
        client = browser(auditor)
        assert client.get(list_url("payment")).status_code == 200
        auditor.memberships.all().delete()
        assert client.get(list_url("payment")).status_code == 403

    def test_shows_programs_but_no_money_to_who_sets_them_up(
        self, furnished: dict[str, Any], browser: Browser
    ) -> None:
        client = browser(factories.make_administrator())
        page = client.get(page_url("program", furnished["program"])).content.decode()
        assert "Members" in page
        assert "Funding address" not in page
        assert "Last lists" not in page
        assert client.get(list_url("payment")).status_code == 403


class TestFilter:
    def test_offers_the_users_own_programs_only(
        self, furnished: dict[str, Any], stranger: User, browser: Browser
    ) -> None:
        page = browser(stranger).get(list_url("payment")).content.decode()
        assert "OTHER" in page
        assert "PENSIONS" not in page

    @pytest.mark.parametrize("name", OWNED)
    def test_finds_nothing_of_another_program(
        self, name: str, furnished: dict[str, Any], stranger: User, browser: Browser
    ) -> None:
        query = {"program": furnished["program"].pk}
        answer = browser(stranger).get(list_url(name), query)
        assert "PENSIONS" not in answer.content.decode()

    @pytest.mark.parametrize(
        ("name", "lookup"),
        [
            ("beneficiary", "payments__amount_sat"),
            ("beneficiary", "enrollments__reference"),
            ("payment", "beneficiary__enrollments__program"),
            ("disbursement", "made_by__password__startswith"),
        ],
    )
    def test_refuses_a_lookup_that_is_not_on_the_screen(
        self, name: str, lookup: str, furnished: dict[str, Any], auditor: User, browser: Browser
    ) -> None:
        answer = browser(auditor).get(list_url(name), {lookup: "1"})
        assert answer.status_code == 400


class TestWrite:
    @pytest.mark.parametrize("name", [*OWNED, *SHARED])
    @pytest.mark.parametrize("who", ["officer", "superuser"])
    def test_is_refused_by_djangos_own_forms(
        self, name: str, who: str, furnished: dict[str, Any], officer: User, browser: Browser
    ) -> None:
        row = furnished[name]
        before = type(row).objects.filter(pk=row.pk).values().get()
        client = browser(officer if who == "officer" else User.objects.create_superuser("root"))
        page = page_url(name, row)
        add = reverse(f"admin:payments_{name}_add")
        for method, url in (
            ("get", add),
            ("post", add),
            ("post", page),
            ("post", page.replace("/change/", "/delete/")),
        ):
            assert getattr(client, method)(url, {"status": "completed"}).status_code == 403
        gone = client.post(list_url(name), {"action": "delete_selected", "_selected_action": [row.pk]})
        assert gone.status_code == 200 or gone["Location"].startswith(list_url(name))
        assert type(row).objects.filter(pk=row.pk).values().get() == before
