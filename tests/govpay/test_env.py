"""Settings that come from the environment: what start-up refuses, and that no message shows what is secret."""

import base64
import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from deploy.local.stack import ROOT
from govpay import env

URL, SECRET = "GOVPAY_ALARM_WEBHOOK_URL", "GOVPAY_ALARM_WEBHOOK_SECRET"
GOOD = "whsec_" + base64.b64encode(bytes(range(24))).decode()


class TestGateways:
    def test_are_local_on_regtest_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("GOVPAY_SMS_URL", raising=False)
        monkeypatch.delenv("GOVPAY_EMAIL_URL", raising=False)
        assert env.sms_gateway("GOVPAY_SMS_URL", "regtest") == "local"
        assert env.mail_gateway("GOVPAY_EMAIL_URL", "regtest") == ("local", {})
        assert env.sms_gateway("GOVPAY_SMS_URL", "signet") == ""
        assert env.mail_gateway("GOVPAY_EMAIL_URL", "signet") == ("", {})
        monkeypatch.setenv("GOVPAY_SMS_URL", "local")
        monkeypatch.setenv("GOVPAY_EMAIL_URL", "local")
        with pytest.raises(ImproperlyConfigured):
            env.sms_gateway("GOVPAY_SMS_URL", "signet")
        with pytest.raises(ImproperlyConfigured):
            env.mail_gateway("GOVPAY_EMAIL_URL", "signet")

    def test_of_mail_is_a_server(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOVPAY_EMAIL_URL", "smtp+tls://user:secret@mail.example.org:587")
        _, parts = env.mail_gateway("GOVPAY_EMAIL_URL", "signet")
        assert parts == {
            "EMAIL_HOST": "mail.example.org",
            "EMAIL_PORT": 587,
            "EMAIL_HOST_USER": "user",
            "EMAIL_HOST_PASSWORD": "secret",
            "EMAIL_USE_TLS": True,
        }


class TestWebAddress:
    @pytest.mark.parametrize(
        "value",
        [
            "",
            "https://alarms.example.org/hook",
            "http://127.0.0.1:8900",
            "https://[::1]:8443/a?token=t0ken",
            "https://example.org:443/",
        ],
    )
    def test_is_http_or_https(self, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(URL, value)
        assert env.web_address(URL) == value

    @pytest.mark.parametrize(
        "value",
        [
            "alarms.example.org",
            "ftp://example.org/",
            "file:///etc/passwd",
            "https://",
            "https:///path",
            "https://example.org:0/",
            "https://example.org:99999/",
            "https://example.org:port/",
            "https://user:t0ken@example.org/",
            "https://t0ken@example.org/",
            "https://example.org/#t0ken",
            "https://example.org/a b",
            "https://example.org/\r\nX-Header: t0ken",
            "https://exämple.org/",
            "https://a..b/",
            "https://[::1/",
            "https://" + "a" * 64 + ".org/",
            "https://example.org/" + "a" * 2000,
        ],
    )
    def test_of_any_other_form_is_refused_and_not_shown(
        self, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(URL, value)
        with pytest.raises(ImproperlyConfigured, match=f"{URL} must be") as refusal:
            env.web_address(URL)
        assert "t0ken" not in str(refusal.value)


class TestWebhookSecret:
    @pytest.mark.parametrize("length", [24, 32, 64])
    def test_holds_24_to_64_bytes(self, length: int, monkeypatch: pytest.MonkeyPatch) -> None:
        value = "whsec_" + base64.b64encode(bytes(length)).decode()
        monkeypatch.setenv(SECRET, value)
        assert env.webhook_secret(SECRET) == value

    @pytest.mark.parametrize(
        "value",
        [
            "whsec_",
            "whsec_" + base64.b64encode(bytes(23)).decode(),
            "whsec_" + base64.b64encode(bytes(65)).decode(),
            GOOD.removeprefix("whsec_"),
            GOOD.replace("whsec_", "whsk_"),
            GOOD + "=",
            GOOD[:-1] + "!",
            GOOD[:20] + " " + GOOD[20:],
            "secret",
        ],
    )
    def test_of_any_other_form_is_refused_and_not_shown(
        self, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(SECRET, value)
        with pytest.raises(ImproperlyConfigured) as refusal:
            env.webhook_secret(SECRET)
        assert str(refusal.value) == f"{SECRET} must be whsec_ and 24 to 64 random bytes in base64."


class TestSealKey:
    def test_may_be_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("GOVPAY_SEAL_KEY", raising=False)
        assert env.optional_key("GOVPAY_SEAL_KEY") is None

    def test_is_32_bytes_and_never_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOVPAY_SEAL_KEY", "5e" * 32)
        assert env.optional_key("GOVPAY_SEAL_KEY") == b"\x5e" * 32
        monkeypatch.setenv("GOVPAY_SEAL_KEY", "5e" * 31)
        with pytest.raises(ImproperlyConfigured) as refusal:
            env.optional_key("GOVPAY_SEAL_KEY")
        assert str(refusal.value) == "GOVPAY_SEAL_KEY must be 64 hex digits (32 bytes)."

    @pytest.mark.parametrize("name", ["pay.example.gov/books", "govpay/regtest"])
    def test_has_a_name_without_spaces(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOVPAY_SEAL_ORIGIN", name)
        assert env.key_name("GOVPAY_SEAL_ORIGIN", "x") == name

    @pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n", "é", "a" * 101])
    def test_has_no_other_name(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOVPAY_SEAL_ORIGIN", name)
        with pytest.raises(ImproperlyConfigured, match="GOVPAY_SEAL_ORIGIN must be"):
            env.key_name("GOVPAY_SEAL_ORIGIN", "x")


class TestStart:
    @pytest.mark.parametrize(
        ("url", "secret", "named"),
        [
            ("http://127.0.0.1:1/hook", "", f"{SECRET} is not set, and {URL} is"),
            ("", GOOD, f"{URL} is not set, and {SECRET} is"),
            ("http://127.0.0.1:1/hook", "whsec_t0ken", f"{SECRET} must be whsec_"),
            ("http://t0ken@127.0.0.1:1/", GOOD, f"{URL} must be"),
        ],
    )
    def test_of_a_process_is_refused_with_the_name_of_the_setting(
        self, url: str, secret: str, named: str
    ) -> None:
        outcome = start(url, secret)
        assert outcome.returncode == 1
        assert f"ImproperlyConfigured: {named}" in outcome.stderr
        assert "t0ken" not in outcome.stderr

    @pytest.mark.parametrize(("url", "secret"), [("", ""), ("http://127.0.0.1:1/hook", GOOD)])
    def test_needs_both_or_neither(self, url: str, secret: str) -> None:
        assert start(url, secret).returncode == 0


def start(url: str, secret: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Start a process that reads the settings and ends."""
    words = [sys.executable, "-c", "from govpay import settings"]
    return subprocess.run(
        words,
        env=os.environ | {URL: url, SECRET: secret} | more,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


class TestOnlyOnRegtest:
    def test_is_off_unless_it_is_switched_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert env.only_on_regtest("GOVPAY_OUTBOUND_LOOPBACK", "signet") is False
        monkeypatch.setenv("GOVPAY_OUTBOUND_LOOPBACK", "true")
        assert env.only_on_regtest("GOVPAY_OUTBOUND_LOOPBACK", "regtest") is True

    def test_is_refused_on_any_other_network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOVPAY_OUTBOUND_LOOPBACK", "true")
        with pytest.raises(ImproperlyConfigured, match="for regtest only"):
            env.only_on_regtest("GOVPAY_OUTBOUND_LOOPBACK", "testnet4")


class TestOrigin:
    @pytest.mark.parametrize(
        ("value", "read"),
        [
            ("", ""),
            ("https://pay.example.gov", "https://pay.example.gov"),
            ("https://pay.example.gov/", "https://pay.example.gov"),
            ("https://pay.example.gov:8443", "https://pay.example.gov:8443"),
            ("http://localhost:8000", "http://localhost:8000"),
        ],
    )
    def test_is_read_without_a_path(self, value: str, read: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOVPAY_ORIGIN", value)
        assert env.origin("GOVPAY_ORIGIN") == read

    @pytest.mark.parametrize(
        "value",
        [
            *(
                "pay.example.gov",
                "http://pay.example.gov",
                "https://pay.example.gov/admin",
                "https://PAY.example.gov",
            ),
            *("ftp://localhost", "https://", "https://a@pay.example.gov", "https://pay.example.gov?x=1"),
        ],
    )
    def test_is_refused(self, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOVPAY_ORIGIN", value)
        with pytest.raises(ImproperlyConfigured, match="GOVPAY_ORIGIN must be"):
            env.origin("GOVPAY_ORIGIN")

    @pytest.mark.parametrize(
        ("value", "is_taken"),
        [
            *(("pay.example.gov", True), ("example.gov", True)),
            *(("gov", False), ("ample.gov", False), ("other.gov", False), ("x.pay.example.gov", False)),
        ],
    )
    def test_has_keys_of_its_host_or_a_domain_above(
        self, value: str, is_taken: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GOVPAY_KEY_DOMAIN", value)
        call = ("GOVPAY_KEY_DOMAIN", "GOVPAY_ORIGIN", "https://pay.example.gov")
        if is_taken:
            assert env.domain_of(*call) == value
        else:
            with pytest.raises(ImproperlyConfigured, match="must be the host of GOVPAY_ORIGIN"):
                env.domain_of(*call)

    def test_has_keys_of_its_host_unless_said_so(self) -> None:
        assert env.domain_of("GOVPAY_KEY_DOMAIN", "GOVPAY_ORIGIN", "https://pay.example.gov:8443") == (
            "pay.example.gov"
        )
        assert env.domain_of("GOVPAY_KEY_DOMAIN", "GOVPAY_ORIGIN", "") == ""


class TestSingleSignOn:
    @pytest.mark.parametrize(
        "value", ["http://id.example.gov", "id.example.gov", "https://id.example.gov?x=1"]
    )
    def test_refuses_an_issuer(self, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOVPAY_OIDC_ISSUER", value)
        with pytest.raises(ImproperlyConfigured, match="GOVPAY_OIDC_ISSUER must be"):
            env.issuer("GOVPAY_OIDC_ISSUER")

    @pytest.mark.parametrize(
        "value", ["", "https://id.example.gov/realms/ministry", "https://id.example.gov/"]
    )
    def test_takes_an_issuer_as_it_names_itself(self, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOVPAY_OIDC_ISSUER", value)
        assert env.issuer("GOVPAY_OIDC_ISSUER") == value

    def test_reads_what_stands_for_a_second_factor(self, monkeypatch: pytest.MonkeyPatch) -> None:
        name = "GOVPAY_OIDC_SECOND_FACTORS"
        assert env.prefixed(name, ("amr", "acr")) == frozenset()
        monkeypatch.setenv(name, "amr:otp, acr:urn:example:mfa")
        assert env.prefixed(name, ("amr", "acr")) == {"amr:otp", "acr:urn:example:mfa"}
        for wrong in ("otp", "amr:", "amr:otp,x"):
            monkeypatch.setenv(name, wrong)
            with pytest.raises(ImproperlyConfigured, match=name):
                env.prefixed(name, ("amr", "acr"))

    def test_of_a_process_needs_all_it_needs(self) -> None:
        whole = {
            "GOVPAY_ORIGIN": "https://pay.example.gov",
            "GOVPAY_OIDC_ISSUER": "https://id.example.gov",
            "GOVPAY_OIDC_CLIENT_ID": "govpay",
            "GOVPAY_OIDC_CLIENT_SECRET": "t0ken",
        }
        assert start("", "", **whole).returncode == 0
        outcome = start("", "", **whole | {"GOVPAY_OIDC_CLIENT_SECRET": "", "GOVPAY_ORIGIN": ""})
        assert outcome.returncode == 1
        assert "GOVPAY_OIDC_CLIENT_SECRET, GOVPAY_ORIGIN is not set, and GOVPAY_OIDC_ISSUER" in outcome.stderr


class TestBic:
    @pytest.mark.parametrize("value", ["", "SBPPPKKA", "SBPPPKKAXXX"])
    def test_is_of_iso_9362(self, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOVPAY_PAYEE_CHECK_BIC", value)
        assert env.bic("GOVPAY_PAYEE_CHECK_BIC") == value

    @pytest.mark.parametrize("value", ["SBPPPKK", "sbpppkka", "SBPPPKKAXX", "SBPP1KKA", "SBPPPKKA\n"])
    def test_of_any_other_form_is_refused(self, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOVPAY_PAYEE_CHECK_BIC", value)
        with pytest.raises(ImproperlyConfigured, match="GOVPAY_PAYEE_CHECK_BIC must be a BIC"):
            env.bic("GOVPAY_PAYEE_CHECK_BIC")
