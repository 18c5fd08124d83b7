"""Hands the manifests of lists out to approvers, and takes back what their keys signed."""

from collections.abc import Iterator

from django.contrib.auth.models import User
from django.db import transaction

from govpay.errors import Conflict, GovPayError, SamePersonTwice
from ledger import audit
from payments.models import ApproverKey, Disbursement, ManifestSignature, Role
from payments.payout import manifest
from payments.services import disbursements
from payments.signer import manifest as form
from payments.states import DisbursementStatus, StatusConflict

# A draft has no manifest yet; what was withdrawn or refused is none to sign.
FIXED = (
    DisbursementStatus.SUBMITTED,
    DisbursementStatus.APPROVED,
    DisbursementStatus.RELEASED,
    DisbursementStatus.COMPLETED,
)
SIGNABLE = (DisbursementStatus.APPROVED, DisbursementStatus.RELEASED)


class ManifestSignatureRefused(GovPayError):
    """The signature is not one by the approver's key over this list's manifest."""

    code = "manifest_signature_refused"
    http_status = 422


class ApproverKeyMissing(Conflict):
    """The approver has no active key, or signed with another one."""

    code = "approver_key_missing"


def export(*, by: User, disbursement_id: int) -> Iterator[bytes]:
    """Return the text of a list's manifest in chunks, to any member of its program.

    Raises NotFound, StatusConflict before it is submitted and after it was refused, and ManifestChanged when the list
    in the database is not the one that was submitted; the text that is signed is checked again when it comes back.
    """
    disbursement = disbursements.get(user=by, disbursement_id=disbursement_id)
    _require(disbursement, FIXED)
    disbursements.require_manifest(disbursement, bytes(disbursement.manifest_hash or b""))
    return manifest.text(disbursement)


@transaction.atomic
def sign(
    *, by: User, disbursement_id: int, manifest_sha256: bytes, public_key: bytes, signature: bytes
) -> ManifestSignature:
    """Keep an approver's signature over the manifest of an approved list; the same again changes nothing.

    It is taken from the approver who approved the list, and from any other approver of the program who neither made
    nor released it. Raises NotFound, RoleMissing, SamePersonTwice, StatusConflict, ManifestChanged,
    ApproverKeyMissing, ManifestSignatureRefused.
    """
    disbursement = disbursements.lock(by, disbursement_id, (Role.APPROVER,))
    if by.pk in (disbursement.made_by_id, disbursement.released_by_id):
        raise SamePersonTwice("Who made or released a list cannot sign its manifest.")
    _require(disbursement, SIGNABLE)
    disbursements.require_manifest(disbursement, manifest_sha256)
    key = ApproverKey.objects.filter(user=by, retired_at=None).first()
    if key is None or bytes(key.public_key) != public_key:
        raise ApproverKeyMissing("This was not signed by your registered key; register it, or sign again.")
    if not form.is_signed(public_key, signature, form.signed_message(manifest_sha256)):
        raise ManifestSignatureRefused("The signature is not valid for this manifest and key.")
    kept, is_new = ManifestSignature.objects.get_or_create(
        disbursement=disbursement,
        key=key,
        defaults={"manifest_sha256": manifest_sha256, "signature": signature},
    )
    if is_new:
        audit.record("manifest.sign", disbursement, by=by, scope=disbursement.program.scope)
    return kept


def _require(disbursement: Disbursement, statuses: tuple[DisbursementStatus, ...]) -> None:
    if disbursement.status not in statuses:
        raise StatusConflict(
            f"The disbursement is {disbursement.status}, not {' or '.join(statuses)}.",
            subject="disbursement",
            status=disbursement.status,
        )
