"""A program's rules of approval: groups, tiers by amount and rolling caps, proposed by one person, confirmed by another.

A version is proposed whole, so that a second person sees all that will hold; the newest confirmed one is in force.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from govpay.errors import Conflict, Forbidden, InvalidInput, NotFound, SamePersonTwice
from ledger import audit
from payments.models import (
    ApprovalPolicy,
    CapKind,
    GroupMember,
    Membership,
    Program,
    Role,
    RollingCap,
    TierNeed,
)
from payments.models.program import SAT
from payments.onchain import amount
from payments.payout import agreed
from payments.services import units

RIGHT = "payments.add_approvalpolicy"
# The group that every approver of a program is in.
EVERYBODY = "approvers"
DAYS = 14
VERSION = "govpay-approval-policy-1"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
MAX_COUNT = 20


class PolicyOpen(Conflict):
    """Another proposal for the program waits to be confirmed or dropped."""

    code = "policy_open"


class PolicyDecided(Conflict):
    """The proposal was confirmed or dropped before."""

    code = "policy_decided"


class PolicyForged(Conflict):
    """The rules of approval in the database were written by none of our processes."""

    code = "policy_forged"


@dataclass(frozen=True)
class Cap:
    """The most of one maker, person or address, or the program, in any so many days; ``most_sat`` in its own unit."""

    kind: str
    window_days: int
    most_sat: int


@dataclass(frozen=True)
class Terms:
    """What is in force in a program; as it stands, what is where nobody made rules: one approver, no caps."""

    policy_id: int | None = None
    days: int = DAYS
    groups: Mapping[str, frozenset[int]] = field(default_factory=dict)
    tiers: Sequence[Mapping[str, Any]] = ({"up_to_sat": None, "needs": {EVERYBODY: 1}},)
    caps: Sequence[Cap] = ()

    def groups_of(self, user_id: int) -> set[str]:
        """Return the groups that an approver approves for."""
        return {EVERYBODY, *(name for name, members in self.groups.items() if user_id in members)}

    def tier_for(self, total: int, *, unit: str = SAT) -> dict[str, Any]:
        """Return the tier of a list of that total, as it is frozen onto it; both are in the program's ``unit``."""
        tier = next(tier for tier in self.tiers if tier["up_to_sat"] is None or total <= tier["up_to_sat"])
        return {
            "policy": self.policy_id,
            f"up_to_{unit}": tier["up_to_sat"],
            "needs": dict(tier["needs"]),
            "days": self.days,
        }


def current(program_id: int) -> Terms:
    """Return the terms in force, verified; raise PolicyForged."""
    rows = ApprovalPolicy.objects.filter(program_id=program_id, confirmed_at__isnull=False)
    policy = rows.prefetch_related("members", "needs", "caps").order_by("-pk").first()
    if policy is None:
        return Terms()
    if not agreed.is_mac(policy.mac, policy.key_id, *_fields(policy)):
        raise PolicyForged(
            f"Approval policy {policy.pk} is not what two people agreed to; propose the rules anew.",
            policy_id=policy.pk,
        )
    groups: dict[str, set[int]] = {}
    for member in policy.members.all():
        groups.setdefault(member.group_name, set()).add(member.user_id)
    return Terms(
        policy_id=policy.pk,
        days=policy.approval_days,
        groups={name: frozenset(members) for name, members in groups.items()},
        tiers=policy.tiers,
        caps=[Cap(cap.kind, cap.window_days, cap.most_sat) for cap in policy.caps.all()],
    )


@transaction.atomic
def propose(
    *,
    by: User,
    program_id: int,
    note: str,
    approval_days: int = DAYS,
    groups: Mapping[str, Sequence[str]],
    tiers: Sequence[Mapping[str, Any]],
    caps: Sequence[Mapping[str, Any]],
) -> ApprovalPolicy:
    """Propose all the rules of approval of a program; nothing changes before somebody else confirms them.

    ``groups`` are user names by group; ``tiers`` have ``up_to_sat`` (None once, in the last) and ``needs``, counts by
    group; none of them means one approver. ``caps`` have ``kind``, ``window_days`` and ``most_sat``. In a program of money
    they have ``up_to_minor`` and ``most_minor`` instead. Raises Forbidden,
    PolicyOpen, and InvalidInput with one error a rule.
    """
    _require_right(by)
    # Locked, so that of two proposals the second sees the first.
    program = Program.objects.select_for_update(no_key=True).filter(pk=program_id).first()
    if program is None:
        raise NotFound("There is no such program.")
    tiers = [units.own_of(program, "up_to", tier, row) for row, tier in enumerate(tiers, start=1)]
    caps = [units.own_of(program, "most", cap, row) for row, cap in enumerate(caps, start=1)]
    if ApprovalPolicy.objects.filter(program_id=program_id, confirmed_at=None, dropped_at=None).exists():
        raise PolicyOpen("Another proposal for this program waits; it is confirmed or dropped first.")
    users = _members(program_id, groups)
    errors = [*_wrong_groups(groups, users), *_wrong_tiers(tiers, groups), *_wrong_caps(caps)]
    if not note.strip():
        errors.append(_error("note", "missing", "Say why."))
    if not 1 <= approval_days <= 365:
        errors.append(_error("approval_days", "out_of_bounds", "Approvals count for 1 to 365 days."))
    if errors:
        raise InvalidInput(errors[0]["message"], errors=errors)
    policy = ApprovalPolicy.objects.create(
        program_id=program_id,
        approval_days=approval_days,
        note=note.strip()[:300],
        proposed_by=by,
        proposed_at=timezone.now(),
    )
    GroupMember.objects.bulk_create(
        GroupMember(policy=policy, group_name=name, user_id=users[username])
        for name, usernames in groups.items()
        for username in usernames
    )
    TierNeed.objects.bulk_create(
        TierNeed(policy=policy, up_to_sat=tier["up_to_sat"], group_name=name, count=count)
        for tier in tiers or Terms.tiers
        for name, count in tier["needs"].items()
    )
    RollingCap.objects.bulk_create(RollingCap(policy=policy, **cap) for cap in caps)
    audit.record("approval_policy.propose", policy, by=by, scope=policy.program.scope, reason=note)
    return policy


@transaction.atomic
def confirm(*, by: User, policy_id: int) -> ApprovalPolicy:
    """Put proposed rules in force for lists that are submitted from now on; raise SamePersonTwice, PolicyDecided."""
    policy = _lock(by, policy_id)
    if by.pk == policy.proposed_by_id:
        raise SamePersonTwice("Somebody else than who proposed the rules confirms them.")
    was = audit.digest(policy)
    policy.confirmed_by, policy.confirmed_at = by, timezone.now()
    policy.key_id = agreed.newest_key()
    policy.mac = agreed.mac_of(policy.key_id, *_fields(policy))
    policy.save(update_fields=["confirmed_by", "confirmed_at", "key_id", "mac"])
    audit.record("approval_policy.confirm", policy, by=by, scope=policy.program.scope, before=was)
    return policy


@transaction.atomic
def drop(*, by: User, policy_id: int) -> ApprovalPolicy:
    """Refuse proposed rules, or withdraw what one proposed oneself; raise PolicyDecided."""
    policy = _lock(by, policy_id)
    was = audit.digest(policy)
    policy.dropped_by, policy.dropped_at = by, timezone.now()
    policy.save(update_fields=["dropped_by", "dropped_at"])
    audit.record("approval_policy.drop", policy, by=by, scope=policy.program.scope, before=was)
    return policy


def _lock(by: User, policy_id: int) -> ApprovalPolicy:
    _require_right(by)
    policy = ApprovalPolicy.objects.select_for_update().filter(pk=policy_id).first()
    if policy is None:
        raise NotFound("There is no such approval policy.")
    if policy.state != "proposed":
        raise PolicyDecided(f"The approval policy is {policy.state} already.", state=policy.state)
    return policy


def _require_right(by: User) -> None:
    if not by.has_perm(RIGHT):
        raise Forbidden(f"Rules of approval need the permission {RIGHT}.")


def _fields(policy: ApprovalPolicy) -> tuple[Any, ...]:
    return (
        VERSION,
        policy.pk,
        policy.program_id,
        policy.approval_days,
        sorted((member.group_name, member.user_id) for member in policy.members.all()),
        sorted((need.up_to_sat or 0, need.group_name, need.count) for need in policy.needs.all()),
        sorted((cap.kind, cap.window_days, cap.most_sat) for cap in policy.caps.all()),
        policy.proposed_by_id,
        policy.confirmed_by_id,
        agreed.moment(policy.confirmed_at),
    )


def _members(program_id: int, groups: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return the ids, by name, of those who are approvers of the program."""
    names = {username for usernames in groups.values() for username in usernames}
    rows = Membership.objects.filter(
        program_id=program_id, role=Role.APPROVER, user__username__in=names, user__is_active=True
    )
    return dict(rows.values_list("user__username", "user_id"))


def _wrong_groups(groups: Mapping[str, Sequence[str]], users: Mapping[str, int]) -> list[dict[str, Any]]:
    errors = []
    for name, usernames in groups.items():
        if not _NAME.fullmatch(name) or name == EVERYBODY:
            message = f"A group has 1 to 40 small letters, digits and hyphens, and is not called {EVERYBODY}."
            errors.append(_error("groups", "group_malformed", message))
        if len(set(usernames)) != len(usernames):
            errors.append(_error("groups", "member_twice", f"Somebody is in {name} twice."))
        errors += [
            _error("groups", "member_no_approver", f"{username} is no approver of the program.")
            for username in usernames
            if username not in users
        ]
    return errors


def _wrong_tiers(
    tiers: Sequence[Mapping[str, Any]], groups: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    errors = []
    limits = [tier["up_to_sat"] for tier in tiers]
    if tiers and (len(set(limits)) != len(limits) or limits.count(None) != 1):
        message = "Each tier has its own limit, and one has none, so that every amount has a tier."
        errors.append(_error("tiers", "tiers_incomplete", message))
    for row, tier in enumerate(tiers, start=1):
        limit, needs = tier["up_to_sat"], tier["needs"]
        if limit is not None and not 0 < limit <= amount.MAX_SAT:
            errors.append(_error("tiers", "amount_out_of_bounds", "A limit is a positive amount.", row))
        if not needs:
            errors.append(_error("tiers", "needs_nobody", "A tier needs somebody's approval.", row))
        for name, count in needs.items():
            if name != EVERYBODY and name not in groups:
                errors.append(_error("tiers", "group_unknown", f"There is no group {name}.", row))
            elif not 1 <= count <= (MAX_COUNT if name == EVERYBODY else min(len(groups[name]), MAX_COUNT)):
                message = f"{count} of {name} can never approve; it has fewer people, or the number is none."
                errors.append(_error("tiers", "group_too_small", message, row))
    return errors


def _wrong_caps(caps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    errors = []
    seen = [(cap["kind"], cap["window_days"]) for cap in caps]
    if len(set(seen)) != len(seen):
        errors.append(_error("caps", "cap_twice", "There is one cap of a kind and window."))
    for row, cap in enumerate(caps, start=1):
        if cap["kind"] not in CapKind.values:
            errors.append(_error("caps", "kind_unknown", f"There is no cap of the kind {cap['kind']}.", row))
        if not 1 <= cap["window_days"] <= 366:
            errors.append(_error("caps", "window_out_of_bounds", "A window has 1 to 366 days.", row))
        if not 0 < cap["most_sat"] <= amount.MAX_SAT:
            errors.append(_error("caps", "amount_out_of_bounds", "A cap is a positive amount.", row))
    return errors


def _error(column: str, code: str, message: str, row: int = 0) -> dict[str, Any]:
    return {"row": row, "column": column, "code": code, "message": message}
