"""Approvers' keys and signed manifests over the API, as a client of the signer program would use it."""

import hashlib
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.models import ApproverKey, Disbursement, ManifestSignature
from tests import approvals, factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db

KEYS = "/api/v1/approver-keys/"


def as_hex(given: dict[str, bytes]) -> dict[str, str]:
    """A body as JSON carries it."""
    return {name: value.hex() for name, value in given.items()}


def address(row: Disbursement, what: str) -> str:
    return f"/api/v1/disbursements/{row.pk}/{what}/"


class TestKeys:
    def test_are_registered_listed_and_retired(self, api: Api, approver: User) -> None:
        client = api(approver)
        made = expect.ok(client.post(KEYS, as_hex(approvals.registration(approver))), 201)
        assert made["public_key"] == approvals.public_key_of(approver).hex()
        assert made["retired_at"] is None
        assert expect.ok(client.post(KEYS, as_hex(approvals.registration(approver))), 201) == made
        assert expect.ok(client.get(KEYS))["results"] == [made]
        retired = expect.ok(client.post(f"{KEYS}retire/", {}))
        assert (retired["id"], retired["retired_at"] is None) == (made["id"], False)
        expect.problem(client.post(f"{KEYS}retire/", {}), 404, "not_found")

    def test_are_nobody_elses_to_see(self, api: Api, approver: User, auditor: User) -> None:
        approvals.approver_keys.register(by=approver, **approvals.registration(approver))
        assert expect.ok(api(auditor).get(KEYS))["results"] == []

    @pytest.mark.parametrize(
        ("change", "status"),
        [
            ({"proof": "00" * 64}, 422),
            ({"proof": "00"}, 400),
            ({"public_key": "zz" * 32}, 400),
            ({"user": "x"}, 400),
        ],
    )
    def test_are_refused(self, api: Api, approver: User, change: dict[str, str], status: int) -> None:
        body = as_hex(approvals.registration(approver)) | change
        response = api(approver).post(KEYS, body)
        assert response.status_code == status
        assert response.json()["code"] == {422: "proof_refused", 400: "validation_error"}[status]
        assert ApproverKey.objects.count() == 0

    def test_are_for_approvers(self, api: Api, officer: User) -> None:
        response = api(officer).post(KEYS, as_hex(approvals.registration(officer)))
        expect.problem(response, 403, "role_missing")


class TestManifest:
    def test_is_downloaded_as_the_text_that_is_signed(
        self, api: Api, submitted: Disbursement, approver: User
    ) -> None:
        response: Any = api(approver).get(address(submitted, "manifest"))
        assert response.status_code == 200
        assert response["Content-Type"] == "text/plain; charset=us-ascii"
        assert response["Content-Disposition"] == f'attachment; filename="manifest-{submitted.pk}.txt"'
        text = b"".join(response.streaming_content)
        assert hashlib.sha256(text).digest() == bytes(submitted.manifest_hash or b"")

    def test_is_not_there_for_a_draft(self, api: Api, draft: Disbursement, approver: User) -> None:
        expect.problem(api(approver).get(address(draft, "manifest")), 409, "status_conflict")


class TestSignatures:
    def test_are_added_once_and_listed(self, api: Api, approved: Disbursement, approver: User) -> None:
        client = api(approver)
        client.post(KEYS, as_hex(approvals.registration(approver)))
        body = as_hex(approvals.signature(approved, approver))
        made = expect.ok(client.post(address(approved, "manifest-signatures"), body), 201)
        assert made["approver"] == approver.get_username()
        assert {name: made[name] for name in body} == body
        assert expect.ok(client.post(address(approved, "manifest-signatures"), body), 201) == made
        listed = expect.ok(client.get(address(approved, "manifest-signatures")))
        assert listed["results"] == [made]

    def test_are_refused(self, api: Api, approved: Disbursement, approver: User, officer: User) -> None:
        client, where = api(approver), address(approved, "manifest-signatures")
        body = as_hex(approvals.signature(approved, approver))
        expect.problem(client.post(where, body), 409, "approver_key_missing")
        client.post(KEYS, as_hex(approvals.registration(approver)))
        wrong = body | {"signature": "00" * 64}
        expect.problem(client.post(where, wrong), 422, "manifest_signature_refused")
        expect.problem(client.post(where, body | {"manifest_sha256": "00" * 32}), 409, "manifest_changed")
        assert client.post(where, body | {"note": "x"}).status_code == 400
        expect.problem(api(officer).post(where, body), 403, "role_missing")
        assert ManifestSignature.objects.count() == 0

    def test_list_costs_no_query_a_row(
        self,
        api: Api,
        program: Any,
        approved: Disbursement,
        approver: User,
    ) -> None:
        counts = []
        client = api(approver)
        for number in range(3):
            approvals.sign(approved, factories.make_member(program, "approver", f"approver {number}"))
            with CaptureQueriesContext(connection) as queries:
                assert (
                    len(client.get(address(approved, "manifest-signatures")).json()["results"]) == number + 1
                )
            counts.append(len(queries))
        assert len(set(counts)) == 1
