"""The kind of proposals about convertibility trusts: the institution, its board of three and its first terms.

Two security administrators set one. What it does with its money is its board's to decide (`trust_boards`).
"""

from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from govpay.errors import InvalidInput
from ledger import audit
from ledger.law import policy, tax
from payments.models import Membership, Proposal, Trust, TrustDecision, TrustSeat
from payments.models.history import move
from payments.models.trust import SEATS
from payments.services import rules
from payments.services import trust_acts as acts
from payments.services.change import Kind
from payments.states import DecisionStatus

# Whoever proposes or confirms a trust waits for whoever does so now.
LOCK = 0x676F7672 + 2
OF_TRUST = ("scope", "name", "policy_profile", "jurisdiction")
# What the board decides once there is one.
OF_BOARD = ("inventory_cap_sat", "currency", "floor_minor", "limit_minor")


def _current(proposal: Proposal) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    trust_id = proposal.asked["trust_id"]
    if trust_id is None:
        return {"trust_id": None} | dict.fromkeys((*OF_TRUST, *OF_BOARD, "members"))
    found = Trust.objects.select_for_update(no_key=True).filter(pk=trust_id).first()
    if found is None:
        raise InvalidInput.of("trust_id", "unknown_trust", "There is no such trust.")
    return (
        {"trust_id": trust_id}
        | {name: getattr(found, name) for name in OF_TRUST}
        | {"members": sorted(seat.user.get_username() for seat in _seats(found))}
    )


def _seats(trust: Trust) -> list[TrustSeat]:
    return list(TrustSeat.objects.filter(trust=trust, ended_at=None).select_related("user").order_by("pk"))


def _change(proposal: Proposal, before: dict[str, Any]) -> dict[str, Any]:
    asked, is_new = proposal.asked, before["trust_id"] is None
    names = (*OF_TRUST, *OF_BOARD, "members") if is_new else (*OF_TRUST, "members")
    for name in OF_BOARD:
        if not is_new and name in asked:
            raise InvalidInput.of(name, "terms_are_the_boards", "Two members of its board decide that.")
    after = before | {name: asked[name] for name in names if name in asked}
    after["members"] = sorted(set(after["members"] or ()))
    missing = [
        (name, "missing", "This is needed of a new one.") for name in names if after[name] in (None, "", [])
    ]
    if missing:
        raise InvalidInput.of_each(missing)
    if not is_new and after["scope"] != before["scope"]:
        raise InvalidInput.of("scope", "scope_fixed", "Its books stay; propose another trust.")
    if after == before:
        raise InvalidInput.of("", "nothing_changes", "The trust is set like this already.")
    policy.get_profile(after["policy_profile"])
    if after["jurisdiction"] not in tax.TABLES:
        message = f"Name who taxes it: {', '.join(tax.TABLES)}."
        raise InvalidInput.of("jurisdiction", "unknown_jurisdiction", message)
    if is_new:
        acts.read("terms", {name: after[name] for name in ("currency", "floor_minor", "limit_minor")})
    _members(after["members"])
    _check(Trust() if is_new else Trust.objects.get(pk=before["trust_id"]), after, proposal)
    return after


def _members(names: list[str]) -> list[User]:
    """Return the users; raise InvalidInput unless three people of the kind that may be on a board."""
    found = list(User.objects.filter(username__in=names, is_active=True).order_by("pk"))
    if len(names) != SEATS or len(found) != SEATS:
        raise InvalidInput.of("members", "board_of_three", "Name three different active users.")
    busy = Membership.objects.filter(user__in=found).select_related("user").order_by("pk").first()
    if busy is not None:
        raise InvalidInput.of(
            "members",
            "member_has_a_role",
            f"{busy.user.get_username()} has a role in a program; nobody is on a board and has one.",
        )
    return found


def _check(row: Trust, after: dict[str, Any], proposal: Proposal) -> None:
    for name in OF_TRUST:
        setattr(row, name, after[name])
    if row.pk is None:
        row.inventory_cap_sat = after["inventory_cap_sat"]
    row.proposal = proposal
    rules.check(row, exclude=("proposal",))


def _apply(proposal: Proposal, by: User) -> None:
    after = proposal.after
    columns = {name: after[name] for name in OF_TRUST}
    if after["trust_id"] is None:
        made = Trust.objects.create(
            **columns, inventory_cap_sat=after["inventory_cap_sat"], proposal=proposal
        )
        acts.open_purse(made, **{name: after[name] for name in OF_BOARD if name != "inventory_cap_sat"})
        _seat(made, after["members"])
        audit.record("trust.create", made, by=by, scope=made.scope, reason=proposal.note)
        return
    found = Trust.objects.get(pk=after["trust_id"])
    was = audit.digest(found)
    if after["members"] != proposal.before["members"]:
        found.board_number += 1
        TrustSeat.objects.filter(trust=found, ended_at=None).update(ended_at=timezone.now())
    Trust.objects.filter(pk=found.pk).update(**columns, proposal=proposal, board_number=found.board_number)
    if after["members"] != proposal.before["members"]:
        _seat(found, after["members"])
        _void(found, by)
    audit.record("trust.change", found, by=by, scope=found.scope, reason=proposal.note, before=was)


def _seat(trust: Trust, names: list[str]) -> None:
    now = timezone.now()
    TrustSeat.objects.bulk_create(
        TrustSeat(trust=trust, user=user, board_number=trust.board_number, began_at=now)
        for user in _members(names)
    )


def _void(trust: Trust, by: User) -> None:
    """Let no decision go on that was proposed to another board."""
    rows = TrustDecision.objects.filter(trust=trust, status=DecisionStatus.OPEN)
    count = rows.count()
    if count:
        move(
            rows,
            old=DecisionStatus.OPEN,
            new=DecisionStatus.VOID,
            actor_id=by.pk,
            expected=count,
            ended_at=timezone.now(),
        )


KIND = Kind("trust", "Convertibility trust", _current, _change, _apply)
