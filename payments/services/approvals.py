"""Takes what people say of lists, by the tier that was frozen when each was submitted (R-06)."""

from datetime import datetime, timedelta

from django.contrib.auth.models import User

from govpay.errors import Conflict, SamePersonTwice
from payments.models import Approval, Disbursement, Step
from payments.payout import agreed
from payments.services import authority, policies


class GroupMissing(authority.RoleMissing):
    """The approver is in none of the groups whose approvals the list needs."""

    code = "group_missing"


class AlreadyApproved(Conflict):
    """The person's approval of the list counts already."""

    code = "already_approved"


class GroupComplete(Conflict):
    """The list has all the approvals that it needs of the person's groups; others are missing."""

    code = "group_complete"


def submit(disbursement: Disbursement, *, by: User, at: datetime) -> None:
    """Keep that the maker submitted the list under the tier that is frozen onto it."""
    agreed.record(disbursement, Step.SUBMIT, by.pk, at=at)


def approve(disbursement: Disbursement, *, by: User, group: str, at: datetime) -> bool:
    """Keep an approver's agreement for one group, theirs by default, and return whether the list has all it needs.

    The list is locked. Raises SamePersonTwice, GroupMissing, GroupComplete, AlreadyApproved, agreed.ApprovalForged.
    """
    agreement = agreed.of(disbursement)
    if by.pk == disbursement.released_by_id:
        raise SamePersonTwice("Who released a list cannot approve it.")
    if any(row.user_id == by.pk and _counts(row, at) for row in agreement.approvals):
        raise AlreadyApproved("Your approval of this list counts already; somebody else must approve it too.")
    chosen = _group(disbursement, agreement.missing(at), by, group)
    expires_at = at + timedelta(days=disbursement.approval_tier["days"])
    agreed.record(disbursement, Step.APPROVE, by.pk, at=at, group=chosen, expires_at=expires_at)
    return not agreed.of(disbursement).missing(at)


def release(disbursement: Disbursement, *, by: User, at: datetime) -> None:
    """Keep that a releaser, who is neither maker nor approver, lets the engine pay an approved list.

    Raises SamePersonTwice, agreed.ApprovalExpired, agreed.ApprovalForged.
    """
    agreement = agreed.of(disbursement)
    if by.pk in {disbursement.made_by_id, *(row.user_id for row in agreement.approvals)}:
        raise SamePersonTwice("Maker, approvers and releaser must be different people.")
    agreement.require_approved(at)
    agreed.record(disbursement, Step.RELEASE, by.pk, at=at)


def missing(disbursement: Disbursement, at: datetime) -> dict[str, int]:
    """Return how many approvals of which group a list lacks, without a look at their MACs: to show, not to act on."""
    if not disbursement.approval_tier:
        return {}
    live = Approval.objects.filter(
        disbursement=disbursement,
        step=Step.APPROVE,
        manifest_hash=bytes(disbursement.manifest_hash or b""),
        expires_at__gt=at,
    )
    given = dict(live.order_by("at").values_list("user_id", "group_name"))
    names = list(given.values())
    needs = disbursement.approval_tier["needs"]
    return {name: count - names.count(name) for name, count in needs.items() if names.count(name) < count}


def _counts(row: Approval, at: datetime) -> bool:
    return row.expires_at is not None and row.at <= at < row.expires_at


def _group(disbursement: Disbursement, lacking: dict[str, int], by: User, group: str) -> str:
    """Return for which group the person approves: the one that they name, else a named group before all approvers."""
    needs = disbursement.approval_tier["needs"]
    theirs = policies.current(disbursement.program_id).groups_of(by.pk)
    mine = [name for name in sorted(needs) if name in theirs and group in ("", name)]
    if not mine:
        names = " or ".join(sorted(needs))
        raise GroupMissing(f"This needs an approver of the group {group or names}.", groups=sorted(needs))
    open_ones = sorted(
        (name for name in mine if name in lacking), key=lambda name: (name == policies.EVERYBODY, name)
    )
    if not open_ones:
        raise GroupComplete(
            "The list has all approvals that it needs of your groups; others are missing.", missing=lacking
        )
    return open_ones[0]
