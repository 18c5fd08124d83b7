"""Works on cases: somebody owns one, proposes what it is, and another person agrees or does not."""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from govpay.errors import Conflict, Forbidden, InvalidInput, NotFound, SamePersonTwice
from ledger import books, chart, events
from ledger.models import BreakKind, Case, CaseEvent, CaseStatus, Entry, ReadBlock, ReadTx, Resolution

RIGHT = "ledger.resolve_case"
MAX_NOTE = 1_000
# What showing a case takes besides its row.
SHOWN = ("last_run", "owner", "proposed_by", "decided_by")
# Movements on the wallet that nobody knows may be booked to suspense until somebody does.
UNKNOWN = (BreakKind.UNKNOWN_IN, BreakKind.UNKNOWN_OUT, BreakKind.UNAUTHORIZED_SPEND)


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
) -> Case:
    """Say what an open case is: an entry of its scope that was posted for it, evidence, or that nobody knows.

    Raises Forbidden, NotFound, CaseState, and InvalidInput for what does not explain this kind of break.
    """
    case = _take(by, case_id)
    _require(case, CaseStatus.OPEN)
    if not note.strip() or len(note) > MAX_NOTE:
        raise _invalid("note", f"Say why, in at most {MAX_NOTE:,} characters.")
    if resolution not in Resolution.values:
        raise _invalid("resolution", "Use entry, evidence or suspense.")
    if (entry_id is not None) != (resolution == Resolution.ENTRY):
        raise _invalid("entry_id", "An entry is named where it is the resolution, and only there.")
    if entry_id is not None and not Entry.objects.filter(pk=entry_id, scope=case.scope).exists():
        raise _invalid("entry_id", f"{case.scope} has no entry {entry_id}.")
    if evidence_sha256 is not None and resolution != Resolution.EVIDENCE:
        raise _invalid("evidence_sha256", "A file's hash belongs to evidence.")
    if resolution == Resolution.SUSPENSE and (case.kind not in UNKNOWN or not case.amount_sat):
        raise _invalid("resolution", "Only a movement that nobody knows is booked to suspense.")
    if resolution == Resolution.EVIDENCE and case.kind == BreakKind.STALE_SOURCE:
        raise _invalid("resolution", "A source that cannot testify is mended, not explained.")
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
        proposed_by=by,
    )


@transaction.atomic
def approve(*, by: User, case_id: int, proposal: int, note: str = "") -> Case:
    """Agree, as another person, to the proposal of this number; suspense is booked with it.

    The next run closes the case once the difference is gone. Raises Forbidden, NotFound, CaseState, ProposalStale,
    SamePersonTwice.
    """
    case = _decide(by, case_id, proposal)
    entry_id = case.entry_id
    if case.resolution == Resolution.SUSPENSE:
        entry_id = _book_to_suspense(case, by)
    return _change(
        case,
        by,
        "approved",
        note,
        entry_id=entry_id,
        status=CaseStatus.EXPLAINED,
        decided_by=by,
    )


@transaction.atomic
def reject(*, by: User, case_id: int, proposal: int, note: str) -> Case:
    """Refuse the proposal of this number, as another person: the case is open again. Raises as `approve`."""
    case = _decide(by, case_id, proposal)
    return _change(case, by, "rejected", note, **_cleared(), status=CaseStatus.OPEN)


@transaction.atomic
def withdraw(*, by: User, case_id: int, proposal: int) -> Case:
    """Take back what one proposed oneself; raise Forbidden, NotFound, CaseState, ProposalStale."""
    case = _take(by, case_id)
    _require(case, CaseStatus.PROPOSED)
    _require_proposal(case, proposal)
    if case.proposed_by != by:
        raise Forbidden(f"{case.proposed_by} proposed it and takes it back.")
    return _change(case, by, "withdrawn", "", **_cleared(), status=CaseStatus.OPEN)


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


def _require(case: Case, status: CaseStatus) -> None:
    if case.status != status:
        raise CaseState(f"Case {case.pk} is {case.status}, not {status}.", status=case.status)


def _require_proposal(case: Case, proposal: int) -> None:
    if case.proposal != proposal:
        raise ProposalStale(f"Case {case.pk} has proposal {case.proposal} by now.", proposal=case.proposal)


def _book_to_suspense(case: Case, by: User) -> int:
    """Book the movement where it is seen, against suspense; return the entry."""
    chart.open_suspense(case.scope)
    txid = case.txid
    if case.kind == BreakKind.UNKNOWN_OUT:
        txid = case.found
    mined = ReadTx.objects.filter(standing__scope=case.scope, txid=txid).first()
    block = mined and ReadBlock.objects.filter(standing=mined.standing_id, height=mined.block_height).first()
    assert case.amount_sat is not None  # Both were looked at when it was proposed.
    assert case.proposed_by is not None
    source = f"output:{case.txid}:{case.vout}" if case.kind == BreakKind.UNAUTHORIZED_SPEND else case.unit
    (entry_id,) = books.post(
        [
            events.suspense(
                scope=case.scope,
                key=f"suspense:case:{case.pk}:{case.proposal}",
                source_ref=source,
                amount_sat=case.amount_sat,
                effective_at=timezone.now(),
                memo=case.note[:300],
                actor=case.proposed_by.get_username(),
                approver=by.get_username(),
                block_hash=block.block_hash if block else "",
                block_height=block.height if block else None,
            )
        ]
    )
    return entry_id


def _cleared() -> dict[str, Any]:
    return {"resolution": "", "evidence_sha256": None, "proposed_by": None, "decided_by": None}


def _change(
    case: Case, by: User, action: str, note: str, *, entry_id: int | None = None, **changes: Any
) -> Case:
    """Change the locked case and note who did it."""
    if action in ("proposed", "rejected", "withdrawn"):
        changes["note"] = note if action == "proposed" else ""
    if action != "assigned":
        changes["entry_id"] = entry_id
    Case.objects.filter(pk=case.pk).update(**changes)
    CaseEvent.objects.create(
        case=case, action=action, actor=by.get_username(), user=by, note=note[:MAX_NOTE], entry_id=entry_id
    )
    return get(case.pk)


def _invalid(column: str, message: str) -> InvalidInput:
    return InvalidInput(message, errors=[{"row": 0, "column": column, "code": "invalid", "message": message}])
