"""Changes where somebody is paid: one person proposes, another decides, and the new address cools before it is paid."""

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from govpay.errors import Conflict, InvalidInput, NotFound, SamePersonTwice
from ledger import audit
from payments.models import ChangeOutcome, Destination, DestinationChange, Enrollment, Role
from payments.services import authority, control, intake, registry

DECIDERS = (Role.OFFICER, Role.APPROVER)


class ChangePending(Conflict):
    """Another change of this person's address waits for its decision."""

    code = "change_pending"


class ChangeDecided(Conflict):
    """The change was decided already."""

    code = "change_decided"


class DestinationUnchanged(Conflict):
    """The person is paid there already."""

    code = "destination_unchanged"


@transaction.atomic
def propose(*, by: User, enrollment_id: int, address: str, note: str) -> DestinationChange:
    """Propose another address for a person; they are paid at the old one until somebody else confirms.

    Raises NotFound, RoleMissing, ChangePending, DestinationUnchanged and InvalidInput: the address is bad, one of our
    own, or somebody else's, or no reason is given.
    """
    mine = Enrollment.objects.filter(program__memberships__user_id=by.pk).select_related("program")
    found = mine.filter(pk=enrollment_id).first()
    if found is None:
        raise NotFound("There is no such enrollment in your programs.")
    authority.require(user=by, program_id=found.program_id, roles=(Role.OFFICER,))
    _require_note(note)
    registry.lock()
    script_pubkey = registry.read_address(address, found.beneficiary_id)
    if Destination.objects.filter(
        beneficiary_id=found.beneficiary_id, is_current=True, script_pubkey=script_pubkey
    ).exists():
        raise DestinationUnchanged("The person is paid at this address already.")
    waiting = DestinationChange.objects.filter(
        beneficiary_id=found.beneficiary_id, outcome=ChangeOutcome.OPEN
    ).first()
    if waiting is not None:
        raise ChangePending("Another change of this person's address is to be decided first.")
    made = DestinationChange.objects.create(
        program_id=found.program_id,
        beneficiary_id=found.beneficiary_id,
        script_pubkey=script_pubkey,
        note=note,
        proposed_by=by,
    )
    audit.record("destination_change.propose", made, by=by, scope=found.program.scope, reason=note)
    return made


@transaction.atomic
def confirm(*, by: User, change_id: int, note: str) -> DestinationChange:
    """Agree as a second person: lists submitted from now on pay there, once the program's cooling period is over.

    The old destination is kept as history; lists that were submitted keep the address that they were submitted with.
    Raises ControlProofMissing where the program demands a proof of control and there is none, and what `propose` does.
    """
    change = _open(by, change_id)
    _require_another(change, by)
    faults = intake.Faults()
    registry.check_script(bytes(change.script_pubkey), change.beneficiary_id, faults)
    if faults.kept:
        raise InvalidInput(faults.kept[0].message, errors=faults.as_errors())
    control.require_for_change(
        program=change.program,
        beneficiary_id=change.beneficiary_id,
        script_pubkey=bytes(change.script_pubkey),
    )
    now = timezone.now()
    Destination.objects.filter(beneficiary_id=change.beneficiary_id, is_current=True).update(is_current=False)
    change.destination = Destination.objects.create(
        beneficiary_id=change.beneficiary_id,
        script_pubkey=change.script_pubkey,
        created_by=change.proposed_by,
        changed_at=now,
    )
    return _decide(change, by, ChangeOutcome.CONFIRMED, note, act="destination_change.confirm")


@transaction.atomic
def refuse(*, by: User, change_id: int, note: str) -> DestinationChange:
    """Refuse as a second person, for a reason; the person is paid at the old address."""
    change = _open(by, change_id)
    _require_another(change, by)
    return _decide(change, by, ChangeOutcome.REFUSED, note, act="destination_change.refuse")


@transaction.atomic
def withdraw(*, by: User, change_id: int, note: str) -> DestinationChange:
    """Take back what one proposed oneself."""
    change = _open(by, change_id)
    if change.proposed_by_id != by.pk:
        raise authority.RoleMissing("Only who proposed the change may withdraw it; refuse it instead.")
    return _decide(change, by, ChangeOutcome.WITHDRAWN, note, act="destination_change.withdraw")


def _open(by: User, change_id: int) -> DestinationChange:
    """Return an open change; the registry's lock keeps two people from deciding at once."""
    found = DestinationChange.objects.filter(pk=change_id, program__memberships__user_id=by.pk).first()
    if found is None:
        raise NotFound("There is no such change of address in your programs.")
    authority.require(user=by, program_id=found.program_id, roles=DECIDERS)
    registry.lock()
    change = DestinationChange.objects.select_related("program", "proposed_by").get(pk=change_id)
    if change.outcome != ChangeOutcome.OPEN:
        raise ChangeDecided(f"The change is {change.outcome} already.", outcome=change.outcome)
    return change


def _require_another(change: DestinationChange, by: User) -> None:
    if change.proposed_by_id == by.pk:
        raise SamePersonTwice("Somebody else than the person who proposed the change must decide.")


def _decide(change: DestinationChange, by: User, outcome: str, note: str, *, act: str) -> DestinationChange:
    _require_note(note)
    was = audit.digest(change)
    change.outcome = outcome
    change.decided_by = by
    change.decided_at = timezone.now()
    change.decision_note = note
    change.save(update_fields=["outcome", "decided_by", "decided_at", "decision_note", "destination"])
    audit.record(act, change, by=by, scope=change.program.scope, reason=note, before=was)
    return change


def _require_note(note: str) -> None:
    if not note.strip():
        raise InvalidInput.of("note", "missing", "Say why.")
