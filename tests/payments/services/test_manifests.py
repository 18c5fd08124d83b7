"""Approvers' keys and what they sign: bound to a person, to a text, and to the three people of a list."""

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from govpay.errors import GovPayError, NotFound
from payments.models import ApproverKey, Disbursement, ManifestSignature, Payment, Program, Signer, Wallet
from payments.payout import manifest
from payments.services import approver_keys, disbursements, manifests
from payments.signer import manifest as form
from payments.states import DisbursementStatus
from tests import approvals, factories, signers
from tests.payments.signer.test_manifest import WEAK_KEYS

pytestmark = pytest.mark.django_db


@pytest.fixture
def submitted(program: Program, officer: User) -> Disbursement:
    factories.fund(program, 1_000_000)
    made = factories.make_disbursement(program, officer)
    return disbursements.submit(by=officer, disbursement_id=made.pk)


@pytest.fixture
def approved(submitted: Disbursement, approver: User) -> Disbursement:
    agreed = bytes(submitted.manifest_hash or b"")
    return disbursements.approve(by=approver, disbursement_id=submitted.pk, manifest_hash=agreed)


@pytest.fixture
def watched(approved: Disbursement) -> Disbursement:
    """The approved list, paid from a wallet whose keys are elsewhere."""
    descriptor = signers.single(signers.SoftSigner("watched"))
    Wallet.objects.filter(program=approved.program).update(signer=Signer.PSBT, descriptor=descriptor)
    return Disbursement.objects.get(pk=approved.pk)


def release(by: User, row: Disbursement) -> Disbursement:
    return disbursements.release(by=by, disbursement_id=row.pk, manifest_hash=bytes(row.manifest_hash or b""))


def code_of(call: Any, **arguments: Any) -> str:
    """The code of a refusal, after which nothing was kept."""
    kept = ManifestSignature.objects.count(), list(ApproverKey.objects.values_list("pk", "retired_at"))
    with pytest.raises(GovPayError) as refused:
        call(**arguments)
    assert kept == (
        ManifestSignature.objects.count(),
        list(ApproverKey.objects.values_list("pk", "retired_at")),
    )
    return refused.value.code


class TestRegister:
    def test_keeps_a_key_that_proved_itself_once(self, approver: User) -> None:
        made = approver_keys.register(by=approver, **approvals.registration(approver))
        assert bytes(made.public_key) == approvals.public_key_of(approver)
        assert approver_keys.register(by=approver, **approvals.registration(approver)) == made
        assert ApproverKey.objects.count() == 1

    def test_refuses_another_persons_registration(self, program: Program, approver: User) -> None:
        other = factories.make_member(program, "approver", "second")
        stolen = approvals.registration(other)
        assert code_of(approver_keys.register, by=approver, **stolen) == "proof_refused"

    @pytest.mark.parametrize("change", [{"proof": bytes(64)}, {"proof": b""}, {"public_key": bytes(31)}])
    def test_refuses_a_wrong_proof(self, approver: User, change: dict[str, bytes]) -> None:
        given = approvals.registration(approver) | change
        assert code_of(approver_keys.register, by=approver, **given) == "proof_refused"

    @pytest.mark.parametrize("number", range(len(WEAK_KEYS)))
    def test_refuses_a_key_that_anybody_can_sign_for(self, approver: User, number: int) -> None:
        """Of small order: its empty signature proves possession to nobody, and would approve any list."""
        weak = {"public_key": WEAK_KEYS[number], "proof": b"\x01" + bytes(63)}
        assert code_of(approver_keys.register, by=approver, **weak) == "proof_refused"

    def test_refuses_who_approves_nothing(self, officer: User, outsider: User) -> None:
        for user in (officer, outsider):
            given = approvals.registration(user)
            assert code_of(approver_keys.register, by=user, **given) == "role_missing"

    def test_keeps_one_active_key(self, approver: User) -> None:
        approver_keys.register(by=approver, **approvals.registration(approver))
        key = Ed25519PrivateKey.generate()
        public_key = key.public_key().public_bytes_raw()
        proof = form.sign(key, form.possession_message(approver.get_username(), public_key))
        given = {"public_key": public_key, "proof": proof}
        assert code_of(approver_keys.register, by=approver, **given) == "approver_key_active"
        retired = approver_keys.retire(by=approver)
        assert retired.retired_at is not None
        approver_keys.register(by=approver, **given)
        assert code_of(approver_keys.register, by=approver, **approvals.registration(approver)) == (
            "approver_key_active"
        )

    def test_never_takes_a_retired_key_again(self, approver: User) -> None:
        approver_keys.register(by=approver, **approvals.registration(approver))
        approver_keys.retire(by=approver)
        given = approvals.registration(approver)
        assert code_of(approver_keys.register, by=approver, **given) == "approver_key_taken"
        assert code_of(approver_keys.retire, by=approver) == "not_found"


class TestText:
    def test_is_what_the_manifest_hash_is_taken_of(self, submitted: Disbursement, auditor: User) -> None:
        text = b"".join(manifests.export(by=auditor, disbursement_id=submitted.pk))
        assert hashlib.sha256(text).digest() == bytes(submitted.manifest_hash or b"")
        payments = list(Payment.objects.filter(disbursement=submitted).order_by("pk"))
        found = form.read(form.lines_of_text(text.decode()), wanted={payment.pk for payment in payments})
        assert found.header == form.Header(
            network="regtest",
            program="PENSIONS",
            disbursement_id=submitted.pk,
            period="2026-11",
            purpose="pension",
            payment_count=3,
            total=180_000,
            fee_ceiling_sat=submitted.fee_reserved_sat or 0,
        )
        assert list(found.lines.values()) == [
            form.Line(payment.pk, payment.beneficiary_id, bytes(payment.script_pubkey or b""), amount_sat)
            for payment, amount_sat in zip(payments, (50_000, 60_000, 70_000), strict=True)
        ]

    def test_names_the_payment_that_a_line_reissues(self, program: Program, officer: User) -> None:
        before = factories.make_disbursement(program, officer, amounts_sat=[50_000])
        after = factories.make_disbursement(program, officer, amounts_sat=[50_000], period="2026-12")
        old = Payment.objects.get(disbursement=before)
        Payment.objects.filter(disbursement=after).update(reissue_of=old)
        made = disbursements.submit(by=officer, disbursement_id=after.pk)
        text = b"".join(manifest.text(made)).decode()
        assert text.endswith(f"|50000|{old.pk}\n")

    def test_costs_no_query_a_payment(self, program: Program, officer: User) -> None:
        counts = []
        for size, period in ((3, "2026-11"), (40, "2026-12")):
            made = factories.make_disbursement(program, officer, amounts_sat=[50_000] * size, period=period)
            made = disbursements.submit(by=officer, disbursement_id=made.pk)
            with CaptureQueriesContext(connection) as queries:
                b"".join(manifests.export(by=officer, disbursement_id=made.pk))
            counts.append(len(queries))
        assert counts == [3, 3]

    def test_is_not_there_before_it_is_fixed(self, program: Program, officer: User, outsider: User) -> None:
        made = factories.make_disbursement(program, officer)
        assert code_of(manifests.export, by=officer, disbursement_id=made.pk) == "status_conflict"
        with pytest.raises(NotFound):
            manifests.export(by=outsider, disbursement_id=made.pk)

    @pytest.mark.parametrize("change", [{"amount_sat": 50_001}, {"script_pubkey": factories.make_script()}])
    def test_is_not_given_when_the_list_was_changed(
        self, submitted: Disbursement, officer: User, change: dict[str, Any]
    ) -> None:
        Payment.objects.filter(disbursement=submitted, line=1).update(**change)
        assert code_of(manifests.export, by=officer, disbursement_id=submitted.pk) == "manifest_changed"


class TestSign:
    def test_keeps_an_approvers_signature_once(self, approved: Disbursement, approver: User) -> None:
        kept = approvals.sign(approved, approver)
        assert bytes(kept.manifest_sha256) == bytes(approved.manifest_hash or b"")
        message = form.signed_message(bytes(kept.manifest_sha256))
        assert form.is_signed(approvals.public_key_of(approver), bytes(kept.signature), message)
        assert approvals.sign(approved, approver) == kept
        assert ManifestSignature.objects.count() == 1

    def test_takes_another_approvers_too(
        self, program: Program, approved: Disbursement, approver: User
    ) -> None:
        second = factories.make_member(program, "approver", "second")
        approvals.sign(approved, second)
        approvals.sign(approved, approver)
        assert ManifestSignature.objects.filter(disbursement=approved).count() == 2

    def test_waits_for_the_approval(self, submitted: Disbursement, approver: User) -> None:
        approver_keys.register(by=approver, **approvals.registration(approver))
        given = approvals.signature(submitted, approver)
        refused = code_of(manifests.sign, by=approver, disbursement_id=submitted.pk, **given)
        assert refused == "status_conflict"

    def test_refuses_who_has_no_right(
        self, approved: Disbursement, officer: User, releaser: User, auditor: User, outsider: User
    ) -> None:
        for user, code in (
            (officer, "role_missing"),
            (releaser, "role_missing"),
            (auditor, "role_missing"),
            (outsider, "not_found"),
        ):
            given = approvals.signature(approved, user)
            assert code_of(manifests.sign, by=user, disbursement_id=approved.pk, **given) == code

    def test_refuses_the_maker_even_as_an_approver(
        self, program: Program, approved: Disbursement, officer: User
    ) -> None:
        factories.change_role(program, officer, "approver")
        approver_keys.register(by=officer, **approvals.registration(officer))
        given = approvals.signature(approved, officer)
        refused = code_of(manifests.sign, by=officer, disbursement_id=approved.pk, **given)
        assert refused == "same_person_twice"

    def test_refuses_the_releaser_even_as_an_approver(
        self, program: Program, approved: Disbursement, releaser: User
    ) -> None:
        release(releaser, approved)
        factories.change_role(program, releaser, "approver")
        approver_keys.register(by=releaser, **approvals.registration(releaser))
        given = approvals.signature(approved, releaser)
        refused = code_of(manifests.sign, by=releaser, disbursement_id=approved.pk, **given)
        assert refused == "same_person_twice"

    def test_refuses_without_the_registered_key(self, approved: Disbursement, approver: User) -> None:
        given = approvals.signature(approved, approver)
        call = {"by": approver, "disbursement_id": approved.pk, **given}
        assert code_of(manifests.sign, **call) == "approver_key_missing"
        approver_keys.register(by=approver, **approvals.registration(approver))
        assert code_of(manifests.sign, **call | {"public_key": bytes(32)}) == "approver_key_missing"
        approver_keys.retire(by=approver)
        assert code_of(manifests.sign, **call) == "approver_key_missing"

    def test_refuses_another_text_and_a_wrong_signature(self, approved: Disbursement, approver: User) -> None:
        approver_keys.register(by=approver, **approvals.registration(approver))
        call = {"by": approver, "disbursement_id": approved.pk, **approvals.signature(approved, approver)}
        assert code_of(manifests.sign, **call | {"manifest_sha256": bytes(32)}) == "manifest_changed"
        for wrong in (bytes(64), b"", call["signature"][::-1]):
            refused = code_of(manifests.sign, **call | {"signature": wrong})
            assert refused == "manifest_signature_refused"

    def test_refuses_a_list_that_was_changed(self, approved: Disbursement, approver: User) -> None:
        approver_keys.register(by=approver, **approvals.registration(approver))
        Payment.objects.filter(disbursement=approved, line=2).update(amount_sat=60_001)
        given = approvals.signature(approved, approver)
        refused = code_of(manifests.sign, by=approver, disbursement_id=approved.pk, **given)
        assert refused == "manifest_changed"


class TestRelease:
    def test_needs_no_signature_where_the_node_signs(self, approved: Disbursement, releaser: User) -> None:
        assert release(releaser, approved).status == DisbursementStatus.RELEASED

    def test_needs_the_approvers_where_signers_are_elsewhere(
        self, program: Program, watched: Disbursement, approver: User, releaser: User
    ) -> None:
        assert code_of(release, by=releaser, row=watched) == "manifest_unsigned"
        approvals.sign(watched, factories.make_member(program, "approver", "second"))
        assert code_of(release, by=releaser, row=watched) == "manifest_unsigned"
        assert Disbursement.objects.get(pk=watched.pk).status == DisbursementStatus.APPROVED
        approvals.sign(watched, approver)
        assert release(releaser, watched).status == DisbursementStatus.RELEASED

    def test_does_not_count_a_retired_key(
        self, watched: Disbursement, approver: User, releaser: User
    ) -> None:
        approvals.sign(watched, approver)
        approver_keys.retire(by=approver)
        assert code_of(release, by=releaser, row=watched) == "manifest_unsigned"

    def test_refuses_who_signed_as_an_approver(
        self, program: Program, watched: Disbursement, approver: User, releaser: User
    ) -> None:
        factories.change_role(program, releaser, "approver")
        approvals.sign(watched, approver)
        approvals.sign(watched, releaser)
        factories.change_role(program, releaser, "releaser")
        assert code_of(release, by=releaser, row=watched) == "same_person_twice"
