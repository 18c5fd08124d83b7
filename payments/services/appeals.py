"""Takes appeals against exclusions and lets another person decide; what is lifted lets the person's payments go on."""

from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from govpay.errors import Conflict, Forbidden, InvalidInput, NotFound, SamePersonTwice
from ledger import audit
from payments.models import Appeal, AppealOutcome, Enrollment, Exclusion, Hold, HoldRule, Role
from payments.payout import screening
from payments.services import authority

MAX_NAME, MAX_TEXT, MAX_NOTE = 200, 2_000, 300
# Who decides on entries of lists that hold for every program.
PERMISSION = "payments.change_exclusionlist"


class AppealOpen(Conflict):
    """An appeal against this entry waits for its decision."""

    code = "appeal_open"


class AppealDecided(Conflict):
    """The appeal was decided already."""

    code = "appeal_decided"


class NotExcluded(Conflict):
    """The person is not excluded by this entry, or not any more."""

    code = "not_excluded"


@transaction.atomic
def lodge(*, by: User, enrollment_id: int, exclusion_id: int, lodged_by: str, text: str) -> Appeal:
    """Record what somebody (``lodged_by``: the person, or who speaks for them) says against an entry.

    Its clock runs for GOVPAY_APPEAL_DAYS. Raises NotFound, RoleMissing, NotExcluded, AppealOpen, InvalidInput.
    """
    found = (
        Enrollment.objects.filter(pk=enrollment_id, program__memberships__user_id=by.pk)
        .select_related("beneficiary", "program")
        .first()
    )
    if found is None:
        raise NotFound("There is no such enrollment in your programs.")
    authority.require(user=by, program_id=found.program_id, roles=(Role.OFFICER,))
    _require_text(lodged_by=(lodged_by, MAX_NAME), text=(text, MAX_TEXT))
    entry = (
        Exclusion.objects.select_for_update(of=("self",))
        .select_related("exclusion_list")
        .filter(pk=exclusion_id, identity_hash=found.beneficiary.identity_hash, lifted_at=None)
        .first()
    )
    if entry is None or entry.exclusion_list.program_id not in (None, found.program_id):
        raise NotExcluded("No such entry excludes this person.")
    if entry.appeals.filter(outcome=AppealOutcome.OPEN).exists():
        raise AppealOpen("An appeal against this entry is to be decided first.")
    now = timezone.now()
    made = Appeal.objects.create(
        exclusion=entry,
        beneficiary=found.beneficiary,
        program_id=found.program_id,
        words={"lodged_by": lodged_by, "text": text},
        recorded_by=by,
        excluded_by_id=entry.created_by_id,
        lodged_at=now,
        due_at=now + timedelta(days=settings.GOVPAY_APPEAL_DAYS),
    )
    audit.record("appeal.lodge", made, by=by, scope=found.program.scope)
    return made


@transaction.atomic
def uphold(*, by: User, appeal_id: int, note: str) -> Appeal:
    """Decide that the exclusion stands, for a reason; the payments stay held until they are withdrawn."""
    return _decide(_open(by, appeal_id), by, AppealOutcome.UPHELD, note, act="appeal.uphold")


@transaction.atomic
def lift(*, by: User, appeal_id: int, note: str) -> Appeal:
    """Decide that the person is to be paid: the entry is lifted, and every payment that it held goes on."""
    # Lists are locked before all else.
    entry_id = Appeal.objects.filter(pk=appeal_id).values_list("exclusion_id", flat=True).first() or 0
    held = Hold.objects.filter(rule=HoldRule.PERSON_EXCLUDED, subject_id=entry_id, ended_at=None)
    appeal = _decide(_open(by, appeal_id), by, AppealOutcome.LIFTED, note, act="appeal.lift")
    Exclusion.objects.filter(pk=appeal.exclusion_id).update(lifted_at=appeal.decided_at)
    lists = set(held.values_list("payment__disbursement_id", flat=True))
    for disbursement_id in sorted(lists):
        screening.review(disbursement_id)
    return appeal


def may_decide(user: User, appeal: Appeal) -> bool:
    """Say whether the user may decide: the right for this list, and neither who put the entry nor who took the appeal."""
    if user.pk in (appeal.excluded_by_id, appeal.recorded_by_id):
        return False
    try:
        _authorize(user, appeal)
    except (Forbidden, NotFound):
        return False
    return True


def _authorize(by: User, appeal: Appeal) -> None:
    program_id = appeal.exclusion.exclusion_list.program_id
    if program_id is not None:
        authority.require(user=by, program_id=program_id, roles=(Role.APPROVER,))
    elif not by.has_perm(PERMISSION):
        raise Forbidden(f"An entry of a list of all programs needs the permission {PERMISSION}.")


def _open(by: User, appeal_id: int) -> Appeal:
    found = Appeal.objects.filter(pk=appeal_id, program__memberships__user_id=by.pk).first()
    if found is None:
        raise NotFound("There is no such appeal in your programs.")
    appeal = (
        Appeal.objects.select_for_update(of=("self",))
        .select_related("exclusion__exclusion_list", "program")
        .get(pk=appeal_id)
    )
    _authorize(by, appeal)
    if by.pk in (appeal.excluded_by_id, appeal.recorded_by_id):
        raise SamePersonTwice("Neither who put the entry nor who took the appeal may decide it.")
    if appeal.outcome != AppealOutcome.OPEN:
        raise AppealDecided(f"The appeal is {appeal.outcome} already.", outcome=appeal.outcome)
    return appeal


def _decide(appeal: Appeal, by: User, outcome: str, note: str, *, act: str) -> Appeal:
    _require_text(note=(note, MAX_NOTE))
    was = audit.digest(appeal)
    appeal.outcome = outcome
    appeal.decided_by = by
    appeal.decided_at = timezone.now()
    appeal.decision_note = note
    appeal.save(update_fields=["outcome", "decided_by", "decided_at", "decision_note"])
    audit.record(act, appeal, by=by, scope=appeal.program.scope, reason=note, before=was)
    return appeal


def _require_text(**fields: tuple[str, int]) -> None:
    errors = []
    for column, (text, most) in fields.items():
        if not text.strip():
            errors.append({"row": 0, "column": column, "code": "missing", "message": "Say it in words."})
        elif len(text) > most:
            message = f"This is longer than {most} characters."
            errors.append({"row": 0, "column": column, "code": "too_long", "message": message})
    if errors:
        raise InvalidInput(str(errors[0]["message"]), errors=errors)
