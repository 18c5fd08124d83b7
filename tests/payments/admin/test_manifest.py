"""A list's manifest in the admin: downloaded, signed elsewhere, uploaded, listed; and the approver's own key."""

import hashlib
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from payments.models import ApproverKey, Disbursement, ManifestSignature, Program, Signer, Wallet
from payments.services import approver_keys, disbursements
from tests import approvals, factories, signers
from tests.payments.admin.test_access import Browser

pytestmark = pytest.mark.django_db


@pytest.fixture
def approved(program: Program, officer: User, approver: User) -> Disbursement:
    factories.fund(program, 1_000_000)
    made = factories.make_disbursement(program, officer)
    made = disbursements.submit(by=officer, disbursement_id=made.pk)
    agreed = bytes(made.manifest_hash or b"")
    return disbursements.approve(by=approver, disbursement_id=made.pk, manifest_hash=agreed)


def url(name: str, *args: Any) -> str:
    return reverse(f"admin:payments_disbursement_{name}", args=args)


def page(client: Client, row: Disbursement) -> str:
    return client.get(url("change", row.pk)).content.decode()


def signature_file(given: dict[str, bytes]) -> SimpleUploadedFile:
    text = json.dumps({name: value.hex() for name, value in given.items()})
    return SimpleUploadedFile("signature.json", text.encode(), content_type="application/json")


class TestManifest:
    def test_is_downloaded_by_members(self, approved: Disbursement, auditor: User, browser: Browser) -> None:
        answer: Any = browser(auditor).get(url("download_manifest", approved.pk))
        assert answer["Content-Disposition"] == f'attachment; filename="manifest-{approved.pk}.txt"'
        text = b"".join(answer.streaming_content)
        assert hashlib.sha256(text).digest() == bytes(approved.manifest_hash or b"")

    def test_is_not_found_by_outsiders(
        self, approved: Disbursement, outsider: User, browser: Browser
    ) -> None:
        for name in ("download_manifest", "sign_manifest"):
            assert browser(outsider).get(url(name, approved.pk)).status_code in {302, 404}

    def test_is_signed_by_its_approver(
        self, approved: Disbursement, approver: User, browser: Browser
    ) -> None:
        approver_keys.register(by=approver, **approvals.registration(approver))
        client = browser(approver)
        assert "Sign manifest" in page(client, approved)
        assert "Signatures over the manifest" not in page(client, approved)
        file = signature_file(approvals.signature(approved, approver))
        answer = client.post(url("sign_manifest", approved.pk), {"signed": file})
        assert answer.status_code == 302
        assert ManifestSignature.objects.get().key.user == approver
        shown = page(client, approved)
        assert "Signatures over the manifest" in shown
        assert approvals.public_key_of(approver).hex() in shown
        assert "sign-manifest" not in shown

    def test_is_asked_for_where_signers_are_elsewhere(
        self, approved: Disbursement, approver: User, releaser: User, browser: Browser
    ) -> None:
        says = "The approver&#x27;s key has not signed yet"
        client = browser(releaser)
        assert says not in page(client, approved)
        descriptor = signers.single(signers.SoftSigner("admin"))
        Wallet.objects.filter(program=approved.program).update(signer=Signer.PSBT, descriptor=descriptor)
        assert says in page(client, approved)
        assert "Nobody has signed yet." in page(client, approved)
        agreed = {"manifest_hash": bytes(approved.manifest_hash or b"").hex()}
        refused = client.post(url("release", approved.pk), agreed)
        assert refused.status_code == 409
        assert "has not signed the manifest with their key yet" in refused.content.decode()
        assert Disbursement.objects.get(pk=approved.pk).status == "approved"
        approvals.sign(approved, approver)
        assert says not in page(client, approved)
        assert client.post(url("release", approved.pk), agreed).status_code == 302

    @pytest.mark.parametrize(
        ("content", "status", "says"),
        [
            (b"{}", 422, "This is not JSON of"),
            (b"\xff", 422, "This is not JSON of"),
            (b'{"manifest_sha256":"00","public_key":"00","signature":"00"}', 422, "does not have 32 bytes"),
        ],
    )
    def test_refuses_another_file(
        self,
        approved: Disbursement,
        approver: User,
        browser: Browser,
        content: bytes,
        status: int,
        says: str,
    ) -> None:
        file = SimpleUploadedFile("x.json", content)
        answer = browser(approver).post(url("sign_manifest", approved.pk), {"signed": file})
        assert answer.status_code == status
        assert says in answer.content.decode()
        assert ManifestSignature.objects.count() == 0

    def test_says_that_the_file_is_of_another_list(
        self, approved: Disbursement, approver: User, browser: Browser
    ) -> None:
        given = approvals.signature(approved, approver) | {"manifest_sha256": b"\x07" * 32}
        address = url("sign_manifest", approved.pk)
        answer = browser(approver).post(address, {"signed": signature_file(given)})
        assert answer.status_code == 422
        assert f"This file signs another manifest, {'07' * 32}" in answer.content.decode()
        assert ManifestSignature.objects.count() == 0

    def test_shows_the_services_refusal(
        self, approved: Disbursement, approver: User, browser: Browser
    ) -> None:
        file = signature_file(approvals.signature(approved, approver))
        answer = browser(approver).post(url("sign_manifest", approved.pk), {"signed": file})
        assert answer.status_code == 409
        assert "This was not signed by your registered key" in answer.content.decode()
        assert ManifestSignature.objects.count() == 0

    def test_is_offered_for_signing_to_approvers_only(
        self, approved: Disbursement, officer: User, releaser: User, browser: Browser
    ) -> None:
        for user in (officer, releaser):
            shown = page(browser(user), approved)
            assert "sign-manifest" not in shown
            assert "Download manifest" in shown


class TestKey:
    def test_says_that_one_is_registered_already(self, approver: User, browser: Browser) -> None:
        client = browser(approver)
        assert "You have a key" not in client.get(url("approver_key")).content.decode()
        approver_keys.register(by=approver, **approvals.registration(approver))
        assert "You have a key" in client.get(url("approver_key")).content.decode()

    def test_is_registered_and_retired(self, approver: User, browser: Browser) -> None:
        client = browser(approver)
        given = {name: value.hex() for name, value in approvals.registration(approver).items()}
        where = url("approver_key")
        assert "You have none yet." in client.get(where).content.decode()
        assert client.post(where, {"registration": json.dumps(given)}).status_code == 302
        assert given["public_key"] in client.get(where).content.decode()
        assert client.post(url("retire_key")).status_code == 302
        assert ApproverKey.objects.get().retired_at is not None

    def test_is_refused_with_a_wrong_proof(self, approver: User, browser: Browser) -> None:
        given = {"public_key": approvals.public_key_of(approver).hex(), "proof": "00" * 64}
        answer = browser(approver).post(url("approver_key"), {"registration": json.dumps(given)})
        assert answer.status_code == 422
        assert ApproverKey.objects.count() == 0

    def test_is_for_approvers(self, officer: User, browser: Browser) -> None:
        for name in ("approver_key", "retire_key"):
            assert browser(officer).get(url(name)).status_code == 403
