"""Single sign-on: whom the provider's word lets in, whom it does not, and what it never gives."""

import base64
import hmac
import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from govpay.login import errors, links, provider
from govpay.login.provider import Person
from govpay.models import ProviderLink
from ledger.models import AuditEvent
from tests.govpay.login.conftest import CODE, Enroll, is_in, password, shown
from tests.govpay.login.loopback_provider import CLIENT, SECRET, SUBJECT, Key, Provider, text

pytestmark = pytest.mark.django_db

START = "/admin/login/provider/"
BACK = "/admin/login/provider/back/"
LINK = "/admin/login/provider/link/"
FACTORS = "/admin/second-factor/"
Bend = Callable[[Provider], None]


@pytest.fixture
def idp(settings: Any) -> Iterator[Provider]:
    """A provider that is set up."""
    provider.forget()
    made = Provider()
    settings.GOVPAY_ORIGIN = "https://pay.example.gov"
    settings.GOVPAY_OIDC_ISSUER = made.issuer
    settings.GOVPAY_OIDC_CLIENT_ID = CLIENT
    settings.GOVPAY_OIDC_CLIENT_SECRET = SECRET
    yield made
    made.close()
    provider.forget()


@pytest.fixture
def linked(idp: Provider, officer: User) -> User:
    """The officer, whose account at the provider is linked."""
    links.add(officer, issuer=idp.issuer, subject=SUBJECT)
    return officer


def come_back(idp: Provider, browser: Client, start: str = START, **other: str) -> Any:
    """Go to the provider and come back, perhaps with other words than it gave."""
    gone = browser.get(start)
    assert gone.status_code == 302, gone.content
    return browser.get(BACK, idp.visit(gone["Location"]) | other)


def is_refused(answer: Any, status: int, code: str) -> bool:
    """Say whether a page says so."""
    return answer.status_code == status and code in answer.content.decode()


class TestSignIn:
    @pytest.mark.parametrize("alg", ["RS256", "ES256"])
    def test_signs_in_whoever_is_linked(self, alg: str, idp: Provider, linked: User) -> None:
        idp.key = Key(alg)
        idp.published = [idp.key]
        browser = Client()
        assert f"{START}?next=%2Fadmin%2F" in browser.get("/admin/login/").content.decode()
        before = browser.cookies.get("sessionid")
        answer = come_back(idp, browser, f"{START}?next=/admin/payments/payout/")
        assert answer["Location"] == "/admin/payments/payout/"
        assert is_in(browser)
        assert browser.cookies["sessionid"].value != before
        assert ProviderLink.objects.get().last_used_at is not None

    def test_asks_the_provider_with_state_nonce_and_challenge(self, idp: Provider) -> None:
        one, two = (Client().get(START)["Location"] for _ in range(2))
        assert one.startswith(f"{idp.issuer}/authorize?")
        asked, other = ({n: v[0] for n, v in parse_qs(urlsplit(found).query).items()} for found in (one, two))
        assert asked["redirect_uri"] == f"https://pay.example.gov{BACK}"
        for name in ("state", "nonce", "code_challenge"):
            assert len(asked[name]) >= 43
            assert asked[name] != other[name]

    def test_still_asks_for_the_second_factor(self, idp: Provider, linked: User, enroll: Enroll) -> None:
        enroll(linked)
        browser = Client()
        assert come_back(idp, browser)["Location"] == f"{CODE}?next=%2Fadmin%2F"
        assert not is_in(browser)
        assert browser.post(CODE, {"code": shown(linked)})["Location"] == "/admin/"
        assert is_in(browser)

    @pytest.mark.usefixtures("required")
    def test_still_has_it_enrolled(self, idp: Provider, linked: User) -> None:
        browser = Client()
        come_back(idp, browser)
        assert browser.get("/admin/")["Location"] == FACTORS

    @pytest.mark.usefixtures("required")
    @pytest.mark.parametrize(
        ("trusted", "claims", "is_taken"),
        [
            ({"amr:otp"}, {"amr": ["pwd", "otp"]}, True),
            ({"acr:urn:mfa"}, {"acr": "urn:mfa"}, True),
            ({"amr:otp"}, {"amr": ["pwd"]}, False),
            ({"amr:otp"}, {}, False),
            ({"amr:otp"}, {"acr": "otp"}, False),
            (set(), {"amr": ["otp"], "acr": "urn:mfa"}, False),
        ],
    )
    def test_takes_the_providers_second_factor_where_settings_say_so(
        self,
        trusted: set[str],
        claims: dict[str, Any],
        is_taken: bool,
        idp: Provider,
        linked: User,
        enroll: Enroll,
        settings: Any,
    ) -> None:
        settings.GOVPAY_OIDC_SECOND_FACTORS = frozenset(trusted)
        enroll(linked)
        idp.claims = claims
        browser = Client()
        assert (come_back(idp, browser)["Location"] == "/admin/") is is_taken
        assert is_in(browser) is is_taken
        if is_taken:
            # It opens the admin and does no act.
            act = browser.get("/admin/payments/stop/1/lift/")
            assert act["Location"].startswith("/admin/step-up/")
            settings.GOVPAY_OIDC_SECOND_FACTORS = frozenset()
            assert not is_in(browser)

    def test_knows_nobody_by_an_e_mail_or_a_name(self, idp: Provider, officer: User) -> None:
        User.objects.filter(pk=officer.pk).update(email="officer@example.gov")
        idp.claims = {
            "email_verified": True,
            "preferred_username": officer.username,
            "name": officer.username,
        }
        browser = Client()
        assert is_refused(come_back(idp, browser), 403, "provider_not_linked")
        assert not is_in(browser)
        assert ProviderLink.objects.count() == 0

    def test_makes_no_user_and_gives_no_role(self, idp: Provider, linked: User) -> None:
        idp.claims = {"groups": ["admins"], "roles": ["approver"], "is_superuser": True}
        before = list(User.objects.order_by("pk").values_list("pk", "is_superuser", "is_staff"))
        roles = list(linked.memberships.values_list("pk", "role"))
        come_back(idp, Client())
        idp.claims |= {"sub": "somebody-new"}
        assert is_refused(come_back(idp, Client()), 403, "provider_not_linked")
        assert list(User.objects.order_by("pk").values_list("pk", "is_superuser", "is_staff")) == before
        assert list(linked.memberships.values_list("pk", "role")) == roles

    @pytest.mark.parametrize("field", ["is_active", "is_staff"])
    def test_lets_nobody_in_whom_a_password_does_not(self, field: str, idp: Provider, linked: User) -> None:
        User.objects.filter(pk=linked.pk).update(**{field: False})
        browser = Client()
        assert is_refused(come_back(idp, browser), 403, "provider_not_linked")
        assert not is_in(browser)

    def test_keeps_out_whoever_is_locked_out(self, idp: Provider, linked: User) -> None:
        browser = Client()
        for _ in range(5):
            password(browser, linked.username, "wrong")
        assert come_back(idp, browser).status_code == 429
        assert not is_in(browser)


def none(idp: Provider) -> None:
    idp.bend = lambda token: ".".join(
        [text(json.dumps({"alg": "none", "kid": idp.key.kid}).encode()), token.split(".")[1], ""]
    )


def hs256_by_the_public_key(idp: Provider) -> None:
    def forge(token: str) -> str:
        head = text(json.dumps({"alg": "HS256", "kid": idp.key.kid}).encode())
        data = f"{head}.{token.split('.')[1]}"
        modulus = base64.urlsafe_b64decode(idp.key.public()["n"] + "==")
        return f"{data}.{text(hmac.digest(modulus, data.encode(), 'sha256'))}"

    idp.bend = forge


def hs256_by_the_secret(idp: Provider) -> None:
    def forge(token: str) -> str:
        data = f"{text(json.dumps({'alg': 'HS256'}).encode())}.{token.split('.')[1]}"
        return f"{data}.{text(hmac.digest(SECRET.encode(), data.encode(), 'sha256'))}"

    idp.bend = forge


def another_signature(idp: Provider) -> None:
    stranger = Key("RS256")
    stranger.kid = idp.key.kid
    idp.key = stranger


def unknown_kid(idp: Provider) -> None:
    idp.header = {"kid": "unknown"}


def altered(idp: Provider) -> None:
    def alter(token: str) -> str:
        head, body, signature = token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(body + "=="))
        return ".".join([head, text(json.dumps(claims | {"sub": SUBJECT}).encode()), signature])

    idp.claims = {"sub": "another"}
    idp.bend = alter


def with_claims(**claims: Any) -> Bend:
    def bent(idp: Provider) -> None:
        idp.claims = claims

    bent.__name__ = "_".join(f"{name}={value}" for name, value in claims.items())
    return bent


def no_token(idp: Provider) -> None:
    idp.bend = lambda token: ""


NOW = 1_795_953_610
CASES = [
    *(none, hs256_by_the_public_key, hs256_by_the_secret, another_signature, unknown_kid, altered, no_token),
    *(with_claims(nonce="another"), with_claims(nonce=None)),
    *(with_claims(aud="somebody-else"), with_claims(aud=None), with_claims(aud=[CLIENT, "somebody-else"])),
    with_claims(aud=[CLIENT, "x"], azp="x"),
    *(with_claims(iss="https://example.org"), with_claims(iss=None)),
    *(with_claims(exp=NOW - 61), with_claims(exp=None), with_claims(exp="soon")),
    *(with_claims(iat=NOW + 3600), with_claims(iat=None), with_claims(nbf=NOW + 3600)),
    *(
        with_claims(sub=None),
        with_claims(sub=""),
        with_claims(sub=7),
        with_claims(sub="ü"),
        with_claims(sub="x" * 256),
    ),
    *(with_claims(at_hash="wrong"), with_claims(amr="otp")),
]


class TestAnswer:
    @pytest.mark.parametrize("bend", CASES, ids=lambda bend: bend.__name__[:40])
    def test_is_refused(self, bend: Bend, idp: Provider, linked: User) -> None:
        bend(idp)
        browser = Client()
        assert is_refused(come_back(idp, browser), 403, "provider_refused")
        assert not is_in(browser)
        assert ProviderLink.objects.get().last_used_at is None

    def test_counts_for_the_browser_that_asked(self, idp: Provider, linked: User) -> None:
        told = idp.visit(Client().get(START)["Location"])
        for browser in (Client(), Client()):
            assert is_refused(browser.get(BACK, told), 403, "provider_refused")
        asked = Client()
        asked.get(START)
        assert is_refused(asked.get(BACK, told), 403, "provider_refused")
        assert "/token" not in idp.calls

    def test_counts_once(self, idp: Provider, linked: User) -> None:
        browser = Client()
        told = idp.visit(browser.get(START)["Location"])
        assert browser.get(BACK, told).status_code == 302
        assert is_refused(browser.get(BACK, told), 403, "provider_refused")
        other = Client()
        again = idp.visit(other.get(START)["Location"])
        assert is_refused(other.get(BACK, again | {"code": told["code"]}), 403, "provider_refused")
        assert not is_in(other)

    def test_counts_for_ten_minutes(self, idp: Provider, linked: User, clock: Any) -> None:
        browser = Client()
        told = idp.visit(browser.get(START)["Location"])
        clock.shift(600)
        assert is_refused(browser.get(BACK, told), 403, "provider_refused")

    @pytest.mark.parametrize(
        "other", [{"state": "x"}, {"code": ""}, {"iss": "https://example.org"}, {"error": "access_denied"}]
    )
    def test_is_of_what_was_asked(self, other: dict[str, str], idp: Provider, linked: User) -> None:
        browser = Client()
        assert is_refused(come_back(idp, browser, **other), 403, "provider_refused")
        assert not is_in(browser)
        assert "/token" not in idp.calls

    def test_needs_the_code_of_the_same_browser(self, idp: Provider, linked: User) -> None:
        """A code that was asked for with another verifier is worth nothing here."""
        stolen = idp.visit(Client().get(START)["Location"])["code"]
        browser = Client()
        assert is_refused(come_back(idp, browser, code=stolen), 403, "provider_refused")

    def test_is_read_with_keys_that_have_changed(self, idp: Provider, linked: User) -> None:
        come_back(idp, Client())
        idp.key = Key("ES256")
        idp.published = [idp.key]
        browser = Client()
        come_back(idp, browser)
        assert is_in(browser)
        assert idp.calls.count("/jwks") == 2
        assert idp.calls.count("/.well-known/openid-configuration") == 1

    def test_shows_nothing_of_what_was_sent(self, idp: Provider) -> None:
        page = come_back(idp, Client(), error="<script>x</script>", error_description="<b>evil</b>")
        assert "evil" not in page.content.decode()
        assert "<script>x" not in page.content.decode()


class TestProvider:
    def test_that_is_down_is_said_so(self, idp: Provider, linked: User) -> None:
        browser = Client()
        told = idp.visit(browser.get(START)["Location"])
        idp.is_down = True
        assert is_refused(browser.get(BACK, told), 503, "provider_down")
        provider.forget()
        assert is_refused(Client().get(START), 503, "provider_down")
        idp.close()
        assert is_refused(Client().get(START), 503, "provider_down")
        password(browser, linked.username)
        assert is_in(browser)

    @pytest.mark.parametrize(
        "metadata",
        [
            {"issuer": "https://example.org"},
            {"token_endpoint": None},
            {"token_endpoint": "http://example.org/token"},
            {"jwks_uri": "file:///etc/passwd"},
            {"authorization_endpoint": 7},
            {"end_session_endpoint": "javascript:alert(1)"},
        ],
        ids=str,
    )
    def test_must_say_where_and_who_it_is(self, metadata: dict[str, Any], idp: Provider) -> None:
        idp.metadata = metadata
        assert is_refused(Client().get(START), 503, "provider_down")

    def test_is_not_there_unless_it_is_set_up(self, settings: Any) -> None:
        assert settings.GOVPAY_OIDC_ISSUER == ""
        for address in (START, BACK, LINK):
            assert Client().get(address).status_code == 404
        assert START not in Client().get("/admin/login/").content.decode()


class TestLink:
    @pytest.fixture
    def browser(self, officer: User, enroll: Enroll) -> Client:
        """The officer, signed in with password and code."""
        enroll(officer)
        made = Client()
        password(made, officer.username)
        made.post(CODE, {"code": shown(officer)})
        return made

    def test_is_made_by_whoever_is_signed_in(self, idp: Provider, browser: Client, officer: User) -> None:
        assert f"{START}?do=link" in browser.get(FACTORS).content.decode()
        assert come_back(idp, browser, f"{START}?do=link")["Location"] == LINK
        assert ProviderLink.objects.count() == 0
        page = browser.get(LINK).content.decode()
        assert SUBJECT in page
        assert officer.username in page
        assert browser.post(LINK)["Location"] == FACTORS
        found = ProviderLink.objects.get()
        assert (found.user_id, found.issuer, found.subject) == (officer.pk, idp.issuer, SUBJECT)
        assert browser.post(LINK)["Location"] == FACTORS
        assert SUBJECT in browser.get(FACTORS).content.decode()
        browser.post(FACTORS, {"do": "unlink"})
        assert ProviderLink.objects.count() == 0
        acts = AuditEvent.objects.filter(action__startswith="provider_link").order_by("pk")
        assert [event.action for event in acts] == ["provider_link.add", "provider_link.remove"]

    def test_needs_a_fresh_code(self, idp: Provider, browser: Client, clock: Any) -> None:
        clock.shift(300)
        assert browser.get(f"{START}?do=link")["Location"].startswith("/admin/step-up/")
        assert Client().get(f"{START}?do=link")["Location"].startswith("/admin/login/")

    def test_needs_a_fresh_code_to_the_end(self, idp: Provider, browser: Client, clock: Any) -> None:
        clock.shift(200)
        come_back(idp, browser, f"{START}?do=link")
        clock.shift(100)
        assert browser.post(LINK)["Location"].startswith("/admin/step-up/")
        assert ProviderLink.objects.count() == 0

    def test_needs_a_form_of_ours(self, idp: Provider, browser: Client, officer: User) -> None:
        strict = Client(enforce_csrf_checks=True)
        strict.cookies = browser.cookies
        come_back(idp, strict, f"{START}?do=link")
        assert strict.post(LINK).status_code == 403
        assert ProviderLink.objects.count() == 0

    def test_is_one_for_an_account_and_one_for_a_user(
        self, idp: Provider, linked: User, approver: User
    ) -> None:
        for user, subject in ((approver, SUBJECT), (linked, "another")):
            with pytest.raises(errors.LinkedBefore):
                links.add(user, issuer=idp.issuer, subject=subject)
        assert ProviderLink.objects.get().user_id == linked.pk

    def test_that_was_moved_in_the_database_signs_nobody_in(
        self, idp: Provider, linked: User, approver: User
    ) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE govpay_providerlink SET user_id = %s", [approver.pk])
        browser = Client()
        assert is_refused(come_back(idp, browser), 403, "provider_not_linked")
        assert not is_in(browser)

    def test_of_another_issuer_is_none(self, idp: Provider, linked: User) -> None:
        with pytest.raises(errors.NotLinked):
            links.user_of(Person("https://example.org", SUBJECT, "", False))
        assert links.user_of(Person(idp.issuer, SUBJECT, "", False)) == linked


class TestSignOut:
    def test_offers_to_sign_out_there_too(self, idp: Provider, linked: User) -> None:
        browser = Client()
        come_back(idp, browser)
        page = browser.post("/admin/logout/").content.decode()
        found = re.search(r'href="(http[^"]+)"', page)
        assert found is not None
        words = parse_qs(urlsplit(found[1].replace("&amp;", "&")).query)
        assert found[1].startswith(f"{idp.issuer}/logout?")
        assert words["post_logout_redirect_uri"] == ["https://pay.example.gov/admin/"]
        assert len(words["id_token_hint"][0].split(".")) == 3
        assert not is_in(browser)

    def test_offers_nothing_to_whoever_came_by_password(self, idp: Provider, officer: User) -> None:
        browser = Client()
        password(browser, officer.username)
        assert idp.issuer not in browser.post("/admin/logout/").content.decode()
        assert not is_in(browser)

    def test_works_while_the_provider_is_down(self, idp: Provider, linked: User) -> None:
        browser = Client()
        come_back(idp, browser)
        provider.forget()
        idp.is_down = True
        assert browser.post("/admin/logout/").status_code in (200, 302)
        assert not is_in(browser)
