"""The public page: a receipt in, plain words out, whatever anybody sends."""

import json
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.test import Client

from ledger import verify
from ledger.packs import page

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("seal_key")]


@pytest.fixture(autouse=True)
def _nobody_is_throttled() -> None:
    cache.clear()


class Unread:
    """A body that nobody may read."""

    def read(self, *size: int) -> bytes:
        raise AssertionError("the body was read")

    readline = read


def words(answer: object) -> str:
    return answer.content.decode()  # type: ignore[attr-defined, no-any-return]


class TestPage:
    def test_is_shown_to_anybody_under_the_strict_policy(self, client: Client) -> None:
        answer = client.get("/verify/")
        assert answer.status_code == 200
        policy = answer.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "<script" not in words(answer)

    def test_hands_out_the_verifier(self, client: Client) -> None:
        answer = client.get("/verify/verify.py")
        with open(verify.__file__, "rb") as file:
            assert b"".join(answer.streaming_content) == file.read()  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("{", "not_a_receipt"),
            ("[]", "not_a_receipt"),
            ('{"format":"govpay-receipt-1"', "not_a_receipt"),
            ('{"format": "govpay-receipt-1"}', "not_canonical"),
            ('{"format":"govpay-receipt-1"}', "bad_record"),
            ("<script>alert(1)</script>", "not_a_receipt"),
        ],
    )
    def test_says_what_is_wrong(self, client: Client, text: str, code: str) -> None:
        answer = client.post("/verify/", {"text": text})
        assert answer.status_code == 422
        assert "The receipt is not right." in words(answer)
        assert f"<code>{code}</code>" in words(answer)
        assert "<script" not in words(answer)

    @pytest.mark.parametrize("value", [None, 1, "x", [], {}, [[]], {"a": 1}, "é" * 10, True])
    def test_survives_any_value_anywhere(self, client: Client, value: object) -> None:
        names = "amount_sat checkpoint entry network output payment script_pubkey"
        good = dict.fromkeys(names.split(), "1") | {"network": "regtest"}
        for name in good:
            record = {"format": verify.RECEIPT, **good, name: value}
            answer = client.post("/verify/", {"text": verify.canonical(record)})
            assert answer.status_code == 422, (name, json.dumps(value))

    def test_asks_for_a_receipt(self, client: Client) -> None:
        answer = client.post("/verify/", {"text": " \r\n"})
        assert answer.status_code == 422
        assert "Choose the file" in words(answer)

    def test_says_what_is_wrong_with_an_empty_file(self, client: Client) -> None:
        answer = client.post("/verify/", {"file": ContentFile(b"", name="receipt.json")})
        assert (answer.status_code, "<code>not_a_receipt</code>" in words(answer)) == (422, True)

    def test_is_of_this_network_only(self, client: Client) -> None:
        names = "amount_sat checkpoint entry output payment script_pubkey"
        record = dict.fromkeys(names.split(), "1") | {"format": verify.RECEIPT, "network": "signet"}
        answer = client.post("/verify/", {"text": verify.canonical(record)})
        assert "<code>wrong_network</code>" in words(answer)
        assert "It is of signet, not of regtest." in words(answer)

    def test_says_right_of_nothing_before_a_key_signed(self, client: Client, settings: Any) -> None:
        settings.GOVPAY_SEAL_KEY = None
        answer = client.post("/verify/", {"text": verify.canonical({"format": verify.RECEIPT})})
        assert (answer.status_code, "<code>unknown_key</code>" in words(answer)) == (422, True)

    def test_wants_the_token_of_its_form(self) -> None:
        client = Client(enforce_csrf_checks=True)
        assert client.post("/verify/", {"text": "{"}).status_code == 403
        token = client.get("/verify/").cookies["csrftoken"].value
        answer = client.post("/verify/", {"text": "{", "csrfmiddlewaretoken": token})
        assert (answer.status_code, "<code>not_a_receipt</code>" in words(answer)) == (422, True)


class TestLimits:
    def test_are_on_the_checks_of_an_address_whatever_it_says_of_itself(self, client: Client) -> None:
        for n in range(20):
            forwarded = {"x-forwarded-for": f"10.0.0.{n}"}
            assert client.post("/verify/", {"text": "{"}, headers=forwarded).status_code == 422
        refused: Any = client.post("/verify/", **{"wsgi.input": Unread()})
        assert refused.status_code == 429
        assert 0 < int(refused["Retry-After"]) <= 60
        assert "<code>throttled</code>" in words(refused)
        assert client.get("/verify/").status_code == 200
        assert client.post("/verify/", {"text": "{"}, REMOTE_ADDR="192.0.2.7").status_code == 422

    def test_are_on_the_length_before_anything_is_read(self, client: Client) -> None:
        for length in (str(page.MAX_BODY + 1), "9" * 5_000, "x", "-1", "\xb2"):
            answer: Any = client.post("/verify/", CONTENT_LENGTH=length, **{"wsgi.input": Unread()})
            assert (answer.status_code, "<code>not_a_receipt</code>" in words(answer)) == (413, True), length


class TestLanguages:
    """The page speaks the visitor's language; what the verifier says stays in its own words."""

    @pytest.mark.parametrize(
        ("language", "head", "said"),
        [
            ("es", '<html lang="es">', "Comprobar un recibo"),
            ("ur", '<html lang="ur" dir="rtl">', "رسید جانچیں"),
        ],
    )
    def test_is_that_of_the_address(self, client: Client, language: str, head: str, said: str) -> None:
        answer = client.get("/verify/", {"lang": language})
        assert head in words(answer)
        assert f"<h1>{said}</h1>" in words(answer)
        assert answer["Content-Language"] == language

    def test_says_what_is_wrong_by_its_code_in_any(self, client: Client) -> None:
        answer = client.post("/verify/?lang=es", {"text": "{}"})
        assert answer.status_code == 422
        assert "El recibo no es correcto." in words(answer)
        plain = client.post("/verify/", {"text": "{}"})
        assert words(plain).count("<code>") == words(answer).count("<code>")
