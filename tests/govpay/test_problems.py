"""Every refusal is whole problem details, and nothing a caller sends is a 500."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import OperationalError, connection, transaction
from rest_framework.test import APIClient

from payments.models import Intake, Program
from payments.selectors import programs
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db


class TestBody:
    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"{",
            b"\xff\xfe",
            b'{"period": "a", "period": "b"}',
            b'{"lines": [{"amount_sat": 1, "amount_sat": 2}]}',
            b"[" * 1_000,
            b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
            b"[" * 100_000,
            b"1e99999999999999999999",
            b"9" * 5_000,
        ],
    )
    def test_refuses_what_is_no_json(self, api: Api, program: Program, officer: User, raw: bytes) -> None:
        response = api(officer).post(
            f"/api/v1/programs/{program.pk}/disbursements/", raw, content_type="application/json"
        )
        expect.problem(response, 400, "validation_error" if raw == b"" else "parse_error")
        assert Intake.objects.count() == 0

    @pytest.mark.parametrize("raw", [b"null", b"[]", b'"text"', b"1e999", b"true", b"[" * 500 + b"]" * 500])
    def test_refuses_json_that_is_no_object(
        self, api: Api, program: Program, officer: User, raw: bytes
    ) -> None:
        response = api(officer).post(
            f"/api/v1/programs/{program.pk}/disbursements/", raw, content_type="application/json"
        )
        expect.problem(response, 400, "validation_error")
        assert Intake.objects.count() == 0

    def test_refuses_a_body_that_is_too_large(
        self, api: Api, program: Program, officer: User, settings: Any
    ) -> None:
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000
        response = api(officer).post(
            f"/api/v1/programs/{program.pk}/disbursements/",
            b'"' + b"x" * 1_000 + b'"',
            content_type="application/json",
        )
        expect.problem(response, 413, "body_too_large")

    def test_refuses_a_form_with_a_text_that_is_too_large(
        self, api: Api, program: Program, officer: User, settings: Any
    ) -> None:
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000
        response = api(officer).post(
            f"/api/v1/programs/{program.pk}/disbursements/", {"period": "x" * 1_001}, format="multipart"
        )
        expect.problem(response, 413, "body_too_large")

    @pytest.mark.parametrize(
        "content_type", ["text/plain", "application/xml", "application/x-www-form-urlencoded"]
    )
    def test_refuses_other_content(
        self, api: Api, program: Program, officer: User, content_type: str
    ) -> None:
        response = api(officer).post(
            f"/api/v1/programs/{program.pk}/disbursements/", b"a=b", content_type=content_type
        )
        expect.problem(response, 415, "unsupported_media_type")

    def test_shows_at_most_a_hundred_errors(self, api: Api, program: Program, officer: User) -> None:
        response = api(officer).post(
            f"/api/v1/programs/{program.pk}/enrollments/", {f"x{n}": n for n in range(1_000)}
        )
        assert len(expect.problem(response, 400, "validation_error")["errors"]) == 100


class TestAddress:
    @pytest.mark.parametrize(
        "address",
        [
            "nothing/",
            "payments/abc/",
            "payments/-1/",
            "payments/0/",
            "payments/01/",
            "payments/9223372036854775808/",
            "payments/99999999999999999999999/",
            "payments/1%00/",
            "payments/9223372036854775807/",
            "payments/../programs/",
        ],
    )
    def test_answers_garbage_with_not_found(self, api: Api, officer: User, address: str) -> None:
        expect.problem(api(officer).get(f"/api/v1/{address}"), 404, "not_found")

    def test_leaves_other_pages_to_django(self, client: Any) -> None:
        response = client.get("/nothing/")
        assert response.status_code == 404
        assert response["Content-Type"].startswith("text/html")

    @pytest.mark.parametrize("method", ["delete", "patch", "put", "options"])
    def test_refuses_other_methods(self, api: Api, officer: User, method: str) -> None:
        expect.problem(getattr(api(officer), method)("/api/v1/programs/"), 405, "method_not_allowed")

    def test_refuses_another_representation(self, api: Api, officer: User) -> None:
        response = api(officer).get("/api/v1/node/", headers={"accept": "text/xml"})
        expect.problem(response, 406, "not_acceptable")


class TestDatabase:
    def test_takes_any_time_that_is_one(self, api: Api, officer: User) -> None:
        officer.user_permissions.add(Permission.objects.get(codename="view_entry"))
        response = api(officer).get("/api/v1/entries/?effective_before=0015-12-05T12:33:30-22:42")
        assert (response.status_code, response.json()["results"]) == (200, [])

    def test_refuses_a_value_that_it_cannot_hold(
        self, api: Api, officer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_: Any) -> Any:
            with connection.cursor() as cursor:
                cursor.execute("SELECT %s::text::timestamptz", ["294277-01-01T00:00:00Z"])

        client: APIClient = api(officer)
        monkeypatch.setattr(programs, "roles_of", refuse)
        expect.problem(client.get("/api/v1/auth/me/"), 400, "value_out_of_range")

    def test_says_to_try_again_when_it_is_away(
        self, api: Api, officer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(_: Any) -> Any:
            raise OperationalError("connection to server at 10.0.0.1 refused")

        client: APIClient = api(officer)
        monkeypatch.setattr(programs, "roles_of", away)
        response = client.get("/api/v1/auth/me/")
        assert "10.0.0.1" not in expect.problem(response, 503, "unavailable")["detail"]
        assert response["Retry-After"] == "5"

    @pytest.mark.parametrize(
        "sqlstate",
        [
            *(
                "40P01",
                "40001",
                "55P03",
                "57014",
            ),  # Deadlock, serialization, lock timeout, statement timeout.
            *(
                "53300",
                "53100",
                "57P01",
                "57P03",
            ),  # No more sessions, no more disk, shutting down, starting up.
            *("25P03", "25P04", "25006"),  # Idle or too long in a database transaction, a standby.
        ],
    )
    def test_says_to_try_again_when_it_gave_up_for_now(
        self, api: Api, officer: User, monkeypatch: pytest.MonkeyPatch, sqlstate: str
    ) -> None:
        def give_up(_: Any) -> Any:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"DO $$ BEGIN RAISE SQLSTATE '{sqlstate}' USING MESSAGE = 'a secret'; END $$")

        client: APIClient = api(officer)
        monkeypatch.setattr(programs, "roles_of", give_up)
        response = client.get("/api/v1/auth/me/")
        assert "secret" not in expect.problem(response, 503, "unavailable")["detail"]
        assert response["Retry-After"] == "5"

    def test_reveals_nothing_of_a_bug(self, api: Api, officer: User, monkeypatch: pytest.MonkeyPatch) -> None:
        def bug(_: Any) -> Any:
            raise RuntimeError("a secret")

        client: APIClient = api(officer)
        client.raise_request_exception = False
        monkeypatch.setattr(programs, "roles_of", bug)
        response: Any = client.get("/api/v1/auth/me/")
        assert response.status_code == 500
        assert response["Content-Type"] == "application/problem+json"
        assert response.json()["code"] == "internal_error"
        assert b"secret" not in response.content
