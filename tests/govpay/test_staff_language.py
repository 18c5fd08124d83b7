"""The admin in the language that somebody chose; the API, its problems and its files in English whatever is preferred."""

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import translation
from knox.models import AuthToken
from rest_framework.test import APIClient

from deploy import mirror
from payments.models import Program

LOGIN, CHOICE = "/admin/login/", "/admin/language/"


def choose(client: Client, language: str, then: str = LOGIN) -> None:
    answer = client.post(CHOICE, {"language": language, "next": then})
    assert (answer.status_code, answer["Location"]) == (302, then)


@pytest.mark.django_db
class TestChoice:
    """At the foot of each page, without script; what the browser prefers until somebody chooses."""

    @pytest.mark.parametrize(
        ("accepts", "head"),
        [
            ("", '<html lang="en" dir="ltr"'),
            ("es-SV,es;q=0.9", '<html lang="es" dir="ltr"'),
            ("ur", '<html lang="ur" dir="rtl"'),
            ("fr", '<html lang="en" dir="ltr"'),
        ],
    )
    def test_is_the_browsers_first(self, client: Client, accepts: str, head: str) -> None:
        answer = client.get(LOGIN, headers={"Accept-Language": accepts})
        assert head in answer.content.decode()
        assert {"Accept-Language", "Cookie"} <= set(answer["Vary"].split(", "))

    def test_stays_once_it_is_made(self, client: Client) -> None:
        choose(client, "ur")
        answer = client.get(LOGIN, headers={"Accept-Language": "es"})
        assert '<html lang="ur" dir="rtl"' in answer.content.decode()
        assert answer["Content-Language"] == "ur"

    def test_is_offered_to_whoever_is_signed_in(self, client: Client, admin_user: User) -> None:
        client.force_login(admin_user)
        for page in ("/admin/", "/admin/auth/user/", "/admin/payments/disbursement/"):
            text = client.get(page).content.decode()
            assert 'action="/admin/language/" method="post" class="gp-languages"' in text, page
            assert f'name="next" value="{page}"' in text
            assert '<button name="language" value="ur" lang="ur">اردو</button>' in text

    def test_leads_nowhere_else(self, client: Client) -> None:
        answer = client.post(CHOICE, {"language": "ur", "next": "https://example.com/"})
        assert answer["Location"] == "/"

    def test_is_none_of_a_language_without_pages(self, client: Client) -> None:
        choose(client, "fr")
        answer = client.get(LOGIN, headers={"Accept-Language": "es"})
        assert '<html lang="es" dir="ltr"' in answer.content.decode()

    def test_is_told_to_the_admin_alone(self, client: Client) -> None:
        choose(client, "ur")
        cookie = client.cookies[settings.LANGUAGE_COOKIE_NAME]
        assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == ("/admin/", True, "Lax")

    def test_does_not_stay_in_the_process(self, client: Client) -> None:
        client.get(LOGIN, headers={"Accept-Language": "ur"})
        assert translation.get_language() == "en"


@pytest.mark.django_db
class TestElsewhere:
    """What programs read is one text for all."""

    @pytest.mark.parametrize("page", ["/api/v1/programs/", "/api/v1/nothing/", "/api/schema/", "/nothing/"])
    def test_stays_as_it_is(self, client: Client, page: str) -> None:
        choose(client, "ur")
        plain, asked = Client().get(page), client.get(page, headers={"Accept-Language": "ur"})
        assert (asked.status_code, asked.content) == (plain.status_code, plain.content)
        assert asked.get("Content-Language") is None

    def test_problems_of_fields_stay_english(self, program: Program, officer: User) -> None:
        api = APIClient()
        api.credentials(HTTP_AUTHORIZATION=f"Bearer {AuthToken.objects.create(user=officer)[1]}")
        headers = {"Accept-Language": "es"}
        answer = api.post(f"/api/v1/programs/{program.pk}/disbursements/", {}, format="json", headers=headers)
        assert answer.status_code == 400
        assert "This field is required." in answer.content.decode()


def test_the_mirrored_sheet_is_of_the_theme_that_is_installed() -> None:
    assert mirror.MIRRORED.read_text() == mirror.mirrored(), "`make mirror` writes it anew."
