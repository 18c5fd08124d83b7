"""Lets people prove that they control an address: a challenge goes out, and their signature on it comes back."""

import secrets
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from govpay.errors import Conflict, NotFound
from ledger import audit
from payments.models import AddressProof, Enrollment, Program, ProofNeeded, Role
from payments.onchain import address as address_module
from payments.onchain import message, network
from payments.services import authority, registry

MEMBERS = (Role.OFFICER, Role.APPROVER)
# Long enough to visit somebody who has the telephone, too short to be found and used a year later.
LIFE = timedelta(days=7)


class ChallengeExpired(Conflict):
    """The challenge was to be signed and brought back before now."""

    code = "challenge_expired"


class ControlProved(Conflict):
    """The challenge was answered already."""

    code = "control_proved"


class ControlProofMissing(Conflict):
    """The program pays at such an address only whoever has proved that they control it."""

    code = "control_proof_missing"


@transaction.atomic
def ask(*, by: User, enrollment_id: int, address: str, now: datetime | None = None) -> AddressProof:
    """Return a challenge to be signed with the key of an address, which may but need not be where the person is paid.

    Raises NotFound, RoleMissing, and InvalidInput: the address is bad, one of our own, or somebody else's.
    """
    found = (
        Enrollment.objects.filter(pk=enrollment_id, program__memberships__user_id=by.pk)
        .select_related("program")
        .first()
    )
    if found is None:
        raise NotFound("There is no such enrollment in your programs.")
    authority.require(user=by, program_id=found.program_id, roles=MEMBERS)
    script_pubkey = registry.read_address(address, found.beneficiary_id)
    now = now or timezone.now()
    expires_at = (now + LIFE).replace(microsecond=0)
    # One line of plain letters, so that every wallet signs what it shows.
    challenge = (
        f"govpay {found.program.network}: person {found.beneficiary_id} of {found.program.code} controls"
        f" {address_module.address_from_script(script_pubkey, network.current())},"
        f" until {expires_at:%Y-%m-%d %H:%M:%S} UTC, {secrets.token_hex(16)}"
    )
    made = AddressProof.objects.create(
        program=found.program,
        beneficiary_id=found.beneficiary_id,
        script_pubkey=script_pubkey,
        challenge=challenge,
        asked_by=by,
        asked_at=now,
        expires_at=expires_at,
    )
    audit.record("address_proof.ask", made, by=by, scope=found.program.scope)
    return made


@transaction.atomic
def record(*, by: User, proof_id: int, signature: str, now: datetime | None = None) -> AddressProof:
    """Keep the signature on a challenge, if it proves control; payments that only waited for it go on by themselves.

    Raises NotFound, RoleMissing, ChallengeExpired, ControlProved, and message.ProofRefused, which keeps nothing.
    """
    found = AddressProof.objects.filter(pk=proof_id, program__memberships__user_id=by.pk).first()
    if found is None:
        raise NotFound("There is no such challenge in your programs.")
    authority.require(user=by, program_id=found.program_id, roles=MEMBERS)
    proof = AddressProof.objects.select_for_update().get(pk=proof_id)
    if proof.proved_at is not None:
        raise ControlProved("The challenge was answered already.")
    now = now or timezone.now()
    if now >= proof.expires_at:
        raise ChallengeExpired("The challenge has expired; ask for a new one.")
    form = message.verify(script_pubkey=bytes(proof.script_pubkey), message=proof.challenge, text=signature)
    was = audit.digest(proof)
    proof.signature, proof.form = signature.strip(), form
    proof.recorded_by, proof.proved_at = by, now
    proof.save(update_fields=["signature", "form", "recorded_by", "proved_at"])
    audit.record("address_proof.sign", proof, by=by, scope=f"program:{proof.program_id}", before=was)
    return proof


def require_for_change(*, program: Program, beneficiary_id: int, script_pubkey: bytes) -> None:
    """Raise ControlProofMissing where a program demands a proof of a changed address and there is none."""
    if program.destination_proof == ProofNeeded.NEVER:
        return
    proved = AddressProof.objects.filter(
        program=program,
        beneficiary_id=beneficiary_id,
        script_pubkey=script_pubkey,
        proved_at__isnull=False,
    )
    if not proved.exists():
        raise ControlProofMissing("Nobody has proved to control the new address.")
