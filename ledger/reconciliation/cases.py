"""Works on cases: somebody owns one, proposes what it is, and another person agrees or does not."""

from collections.abc import Callable, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from govpay.errors import Conflict, Forbidden, InvalidInput, NotFound, SamePersonTwice
from ledger import audit
from ledger.models import Account, BreakKind, Case, CaseEvent, CaseStatus, Entry, Resolution
from ledger.reconciliation import suspense

RIGHT = "ledger.resolve_case"
MAX_NOTE = 1_000
# What is recorded of what people do with a case, by the event that the case keeps.
ACTS = {
    "assigned": "case.assign",
    "proposed": "case.propose",
    "approved": "case.approve",
    "rejected": "case.reject",
    "withdrawn": "case.withdraw",
}
# What showing a case takes besides its row.
SHOWN = ("last_run", "owner", "account", "proposed_by", "decided_by")
# Of which cases these are proposed; everything else of open ones.
PROPOSED_FOR: dict[Resolution, tuple[CaseStatus, ...]] = {
    Resolution.ACCOUNT: (CaseStatus.SUSPENDED,),
    Resolution.REVERSAL: (CaseStatus.SUSPENDED, CaseStatus.CLOSED),
}
ON_EVIDENCE = (Resolution.EVIDENCE, Resolution.ACCOUNT, Resolution.REVERSAL)
# What is booked once two people agree.
BOOKED: dict[Resolution, Callable[[Case, User], Entry]] = {
    Resolution.SUSPENSE: suspense.book,
    Resolution.ACCOUNT: suspense.move,
    Resolution.REVERSAL: suspense.undo,
}


class CaseState(Conflict):
    """The case is not in the status that allows this."""

    code = "case_state"


class ProposalStale(Conflict):
    """Somebody proposed something else since it was looked at."""

    code = "proposal_stale"


def get(case_id: int) -> Case:
    """Return a case; raise NotFound."""
    found = Case.objects.select_related(*SHOWN).filter(pk=case_id).first()
    if found is None:
        raise NotFound(f"There is no case {case_id}.")
    return found


@transaction.atomic
def assign(*, by: User, case_id: int, owner: str) -> Case:
    """Let somebody who may resolve cases own one that is not closed; raise Forbidden, NotFound, InvalidInput, CaseState."""
    case = _take(by, case_id)
    if case.status == CaseStatus.CLOSED:
        raise CaseState(f"Case {case_id} is closed.", status=case.status)
    user = User.objects.filter(username=owner, is_active=True).first()
    if user is None or not user.has_perm(RIGHT):
        raise _invalid("owner", f"Nobody of this name has the permission {RIGHT}.")
    return _change(case, by, "assigned", owner, owner=user)


@transaction.atomic
def propose(
    *,
    by: User,
    case_id: int,
    resolution: str,
    note: str,
    entry_id: int | None = None,
    evidence_sha256: bytes | None = None,
    account: str | None = None,
) -> Case:
    """Say what a case is.

    An open one: an entry of its scope that was posted for it, evidence, or that nobody knows (suspense). One in suspense:
    the account where it belongs, on evidence. One in suspense or closed: a booking to suspense or out of it that is to be
    undone. Raises Forbidden, NotFound, CaseState, and InvalidInput for what does not explain this kind of break.
    """
    case = _take(by, case_id)
    if resolution not in Resolution.values:
        raise _invalid("resolution", f"Use {_either(Resolution.values)}.")
    _require(case, *PROPOSED_FOR.get(Resolution(resolution), (CaseStatus.OPEN,)))
    if not note.strip() or len(note) > MAX_NOTE:
        raise _invalid("note", f"Say why, in at most {MAX_NOTE:,} characters.")
    if resolution == Resolution.SUSPENSE and (case.kind not in suspense.UNKNOWN or not case.amount_sat):
        raise _invalid("resolution", "Only a movement that nobody knows is booked to suspense.")
    if resolution == Resolution.EVIDENCE and case.kind == BreakKind.STALE_SOURCE:
        raise _invalid("resolution", "A source that cannot testify is mended, not explained.")
    _check_entry(case, resolution, entry_id)
    _check_evidence(resolution, evidence_sha256)
    return _change(
        case,
        by,
        "proposed",
        note,
        entry_id=entry_id,
        status=CaseStatus.PROPOSED,
        proposal=case.proposal + 1,
        resolution=resolution,
        evidence_sha256=evidence_sha256,
        account=_find_account(case, resolution, account),
        proposed_by=by,
        decided_by=None,
    )


@transaction.atomic
def approve(*, by: User, case_id: int, proposal: int, note: str = "") -> Case:
    """Agree, as another person, to the proposal of this number; what it books to suspense or out of it is booked with that.

    The next run closes the case once the difference is gone and nothing of it is in suspense. Raises Forbidden, NotFound,
    CaseState, ProposalStale, SamePersonTwice, NothingSuspended, AlreadyUndone.
    """
    case = _decide(by, case_id, proposal)
    entry_id, suspense_ref = case.entry_id, case.suspense_ref
    if case.resolution in BOOKED:
        entry = BOOKED[Resolution(case.resolution)](case, by)
        entry_id, suspense_ref = entry.pk, entry.source_ref
    return _change(
        case,
        by,
        "approved",
        note,
        entry_id=entry_id,
        suspense_ref=suspense_ref,
        status=CaseStatus.EXPLAINED,
        decided_by=by,
    )


@transaction.atomic
def reject(*, by: User, case_id: int, proposal: int, note: str) -> Case:
    """Refuse the proposal of this number, as another person: the case is what it was before. Raises as `approve`."""
    case = _decide(by, case_id, proposal)
    return _change(case, by, "rejected", note, **_cleared(case))


@transaction.atomic
def withdraw(*, by: User, case_id: int, proposal: int) -> Case:
    """Take back what one proposed oneself; raise Forbidden, NotFound, CaseState, ProposalStale."""
    case = _take(by, case_id)
    _require(case, CaseStatus.PROPOSED)
    _require_proposal(case, proposal)
    if case.proposed_by != by:
        raise Forbidden(f"{case.proposed_by} proposed it and takes it back.")
    return _change(case, by, "withdrawn", "", **_cleared(case))


def age_blocks(case: Case) -> int | None:
    """Return for how many blocks a case has been there, up to the last run that found it."""
    height = case.last_run.block_height
    return None if height is None or case.opened_height is None else height - case.opened_height


def age_days(case: Case) -> int:
    """Return for how many whole days a case has been there, or was until it closed."""
    return ((case.closed_at or timezone.now()) - case.opened_at).days


def _take(by: User, case_id: int) -> Case:
    if not by.has_perm(RIGHT):
        raise Forbidden(f"This needs the permission {RIGHT}.")
    found = Case.objects.select_for_update().filter(pk=case_id).first()
    if found is None:
        raise NotFound(f"There is no case {case_id}.")
    return found


def _decide(by: User, case_id: int, proposal: int) -> Case:
    case = _take(by, case_id)
    _require(case, CaseStatus.PROPOSED)
    _require_proposal(case, proposal)
    if case.proposed_by == by:
        raise SamePersonTwice(f"{case.proposed_by} proposed it; a second person decides.")
    return case


def _require(case: Case, *statuses: CaseStatus) -> None:
    if case.status not in statuses:
        raise CaseState(f"Case {case.pk} is {case.status}, not {_either(statuses)}.", status=case.status)


def _either(words: Sequence[str]) -> str:
    *first, last = map(str, words)
    return f"{', '.join(first)} or {last}" if first else last


def _require_proposal(case: Case, proposal: int) -> None:
    if case.proposal != proposal:
        raise ProposalStale(f"Case {case.pk} has proposal {case.proposal} by now.", proposal=case.proposal)


def _check_entry(case: Case, resolution: str, entry_id: int | None) -> None:
    if (entry_id is not None) != (resolution in (Resolution.ENTRY, Resolution.REVERSAL)):
        raise _invalid(
            "entry_id", "An entry is named where it is the resolution, or is undone, and only there."
        )
    if entry_id is None:
        return
    if resolution == Resolution.REVERSAL:
        if not suspense.bookings(case).filter(pk=entry_id).exists():
            raise _invalid(
                "entry_id", f"Entry {entry_id} is no booking of this case to suspense or out of it."
            )
    elif not Entry.objects.filter(pk=entry_id, scope=case.scope).exists():
        raise _invalid("entry_id", f"{case.scope} has no entry {entry_id}.")


def _check_evidence(resolution: str, evidence_sha256: bytes | None) -> None:
    if evidence_sha256 is None and resolution == Resolution.ACCOUNT:
        raise _invalid(
            "evidence_sha256", "What leaves suspense leaves it on evidence: name the file's SHA-256."
        )
    if evidence_sha256 is not None and resolution not in ON_EVIDENCE:
        raise _invalid("evidence_sha256", f"A file's hash belongs to {_either(ON_EVIDENCE)}.")


def _find_account(case: Case, resolution: str, code: str | None) -> Account | None:
    if (code is not None) != (resolution == Resolution.ACCOUNT):
        raise _invalid("account", "An account is named where it is the resolution, and only there.")
    if code is None:
        return None
    found = suspense.find_account(case.scope, code)
    if found is None:
        raise _invalid("account", f"Use {_either(suspense.account_codes(case.scope))}.")
    return found


def _cleared(case: Case) -> dict[str, Any]:
    """Return what a case is without its proposal."""
    status = CaseStatus.OPEN
    if case.resolution in PROPOSED_FOR:
        status = CaseStatus.SUSPENDED if suspense.standing_sat(case) else CaseStatus.CLOSED
    cleared = dict.fromkeys(("evidence_sha256", "account", "proposed_by", "decided_by"))
    return {"status": status, "resolution": "", **cleared}


def _change(
    case: Case, by: User, action: str, note: str, *, entry_id: int | None = None, **changes: Any
) -> Case:
    """Change the locked case and note who did it."""
    if action in ("proposed", "rejected", "withdrawn"):
        changes["note"] = note if action == "proposed" else ""
    if action != "assigned":
        changes["entry_id"] = entry_id
    was = audit.digest(case)
    Case.objects.filter(pk=case.pk).update(**changes)
    audit.record(ACTS[action], case, by=by, scope=case.scope, reason=note, before=was)
    CaseEvent.objects.create(
        case=case, action=action, actor=by.get_username(), user=by, note=note[:MAX_NOTE], entry_id=entry_id
    )
    return get(case.pk)


def _invalid(column: str, message: str) -> InvalidInput:
    return InvalidInput(message, errors=[{"row": 0, "column": column, "code": "invalid", "message": message}])
