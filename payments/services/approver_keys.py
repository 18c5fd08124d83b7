"""Registers and retires the keys with which approvers sign manifests; signers elsewhere trust their own list of them."""

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from govpay.errors import Conflict, GovPayError, NotFound
from ledger import audit
from payments.models import ApproverKey, Membership, Role
from payments.services.authority import RoleMissing
from payments.signer import manifest


class ProofRefused(GovPayError):
    """The registration is not signed by the key itself for this user."""

    code = "proof_refused"
    http_status = 422


class KeyActive(Conflict):
    """The approver has another key that is not retired."""

    code = "approver_key_active"


class KeyTaken(Conflict):
    """The key was registered before, by somebody or as one that is retired."""

    code = "approver_key_taken"


@transaction.atomic
def register(*, by: User, public_key: bytes, proof: bytes) -> ApproverKey:
    """Register an approver's public key (Ed25519, 32 bytes), which has signed the user's name (64 bytes).

    The same registration again changes nothing. Raises RoleMissing, ProofRefused, KeyActive, KeyTaken.
    """
    _require_approver(by)
    if manifest.is_weak(public_key):
        raise ProofRefused("Anybody can sign for this key; make one with `approver new`.")
    if not manifest.is_signed(public_key, proof, manifest.possession_message(by.get_username(), public_key)):
        raise ProofRefused(
            "The proof is not a signature by this key over your user name; make it with `approver new --user "
            f"{by.get_username()}`."
        )
    active = _active(by)
    if active is not None and bytes(active.public_key) == public_key:
        return active
    if active is not None:
        raise KeyActive(
            "You have a key already; retire it first, and tell every signer.",
            public_key=bytes(active.public_key).hex(),
        )
    try:
        with transaction.atomic():
            key = ApproverKey.objects.create(user=by, public_key=public_key)
    except IntegrityError as error:
        raise KeyTaken("This key was registered before; make a new one.") from error
    audit.record("approver_key.register", key, by=by)
    return key


@transaction.atomic
def retire(*, by: User) -> ApproverKey:
    """Retire the user's own key for good; what it signed stays. Raises NotFound when there is none."""
    active = _active(by)
    if active is None:
        raise NotFound("You have no key to retire.")
    was = audit.digest(active)
    active.retired_at = timezone.now()
    active.save(update_fields=["retired_at"])
    audit.record("approver_key.retire", active, by=by, before=was)
    return active


def _active(user: User) -> ApproverKey | None:
    return ApproverKey.objects.select_for_update().filter(user=user, retired_at=None).first()


def _require_approver(user: User) -> None:
    held = Membership.objects.filter(user=user, role=Role.APPROVER)
    if not user.is_active or not held.exists():
        raise RoleMissing("This needs the role of approver in a program.", roles=[Role.APPROVER])
