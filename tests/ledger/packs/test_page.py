"""The public page: a receipt in, plain words out, whatever anybody sends."""

import json

import pytest
from django.test import Client

from ledger import verify

pytestmark = pytest.mark.django_db


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

    def test_is_of_this_network_only(self, client: Client) -> None:
        names = "amount_sat checkpoint entry output payment script_pubkey"
        record = dict.fromkeys(names.split(), "1") | {"format": verify.RECEIPT, "network": "signet"}
        answer = client.post("/verify/", {"text": verify.canonical(record)})
        assert "<code>wrong_network</code>" in words(answer)
        assert "It is of signet, not of regtest." in words(answer)
