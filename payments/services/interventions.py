"""Proposes, approves and rejects what people ask of the engine: to outbid, to give up, to let go on.

A treasurer proposes. Somebody else, a treasurer or an approver of the program, decides; a fee bump that adds no more
than the program's limit is one treasurer's own. The engine then does it, within what was looked at.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from govpay.errors import Conflict, Forbidden, InvalidInput, NotFound, SamePersonTwice
from ledger import audit
from payments import doorbell
from payments.models import Intervention, InterventionKind, Payout, Program, Role, Wallet, history
from payments.models.history import move
from payments.models.intervention import ALWAYS_TWO
from payments.onchain import node
from payments.payout import feerate, guard, intervene
from payments.services import authority
from payments.states import InterventionStatus, StatusConflict

K = InterventionKind
S = InterventionStatus
PROPOSERS = (Role.TREASURER,)
DECIDERS = (Role.TREASURER, Role.APPROVER)
# Whose figures depend on a feerate.
PRICED = (K.BUMP, K.CHILD, K.VOID)
# What one person adds alone counts together over this time, so that a large sum cannot be split.
ALONE_FOR = timedelta(days=1)
MAX_NOTE = 300


class InterventionOpen(Conflict):
    """Somebody has asked for something about the payout or the wallet already; that is decided first."""

    code = "intervention_open"


class NotTheProposer(Forbidden):
    """Only who proposed something takes it back."""

    code = "not_the_proposer"


class InterventionStale(Conflict):
    """The payout or its txs changed since the figures were looked at, or they are a day old."""

    code = "intervention_stale"


def get(*, user: User, intervention_id: int) -> Intervention:
    """Return an intervention in a program the user belongs to; raise NotFound otherwise."""
    found = (
        Intervention.objects.filter(pk=intervention_id, wallet__program__memberships__user_id=user.pk)
        .select_related("wallet__program", "payout__current", "proposed_by", "decided_by", "version")
        .distinct()
        .first()
    )
    if found is None:
        raise NotFound("There is no such intervention in your programs.")
    return found


def preview(
    *,
    by: User,
    payout_id: int,
    kind: str,
    feerate_sat_kvb: int | None = None,
    over_pending: bool = False,
) -> dict[str, Any]:
    """Return the figures of what the engine would build now, and whether it needs a second person.

    It asks the node: call it outside any database transaction. Without a feerate the network's own is taken. A bump
    ``over_pending`` replaces a version that signers elsewhere have not signed yet. Raises NotFound, RoleMissing,
    feerate.FeerateRefused, intervene.InterventionImpossible, what the builders refuse, NodeError.
    """
    payout = _payout(by, payout_id, DECIDERS)
    program = payout.wallet.program
    intervene.require_possible(kind, payout)
    _require_feerate(kind, feerate_sat_kvb, program)
    if over_pending and kind != K.BUMP:
        raise InvalidInput.of("over_pending", "not_a_bump", "Only a bump replaces what signers have.")
    with _node() as client:
        client.load_wallet(payout.wallet.name)
        rate = feerate_sat_kvb
        if rate is None and kind == K.VOID:
            rate = feerate.choose(program, client, is_urgent=True)
        figures = intervene.preview(kind, payout, rate or 0, client, over_pending=over_pending)
    # The builders judge one bump; what one person adds alone is judged over a day.
    figures.pop("needs_second_person", None)
    return {
        **figures,
        "feerate_sat_kvb": rate,
        "needs_second": _needs_second(by, payout, kind, figures),
    }


@transaction.atomic
def propose(
    *, by: User, payout_id: int, kind: str, note: str, shown: Mapping[str, Any] | None
) -> Intervention:
    """Ask for a bump, a child, a void or a thaw of a payout, with the figures that ``preview`` just gave.

    The engine builds nothing dearer than them. Raises NotFound, RoleMissing, InvalidInput without a reason,
    InterventionOpen, InterventionStale when the payout has another version by now.
    """
    payout = _payout(by, payout_id, PROPOSERS)
    _require_note(note)
    payout = (
        Payout.objects.select_for_update(of=("self",))
        .select_related("wallet__program", "current")
        .get(pk=payout.pk)
    )
    intervene.require_possible(kind, payout)
    if shown is None or (kind in PRICED and _is_overtaken(payout, shown)):
        raise InterventionStale("The payout changed since it was looked at; look at the figures again.")
    _require_none_open(Q(payout=payout))
    return _create(
        by,
        note,
        wallet=payout.wallet,
        payout=payout,
        kind=kind,
        feerate_sat_kvb=shown.get("feerate_sat_kvb"),
        preview=dict(shown),
        needs_second=_needs_second(by, payout, kind, shown),
    )


def look_at_halt(*, by: User, program_id: int) -> dict[str, Any]:
    """Return why the program's wallet is halted; raise while it is not, and while the cause stands.

    It asks the node: call it outside any database transaction.
    """
    authority.require(user=by, program_id=program_id, roles=DECIDERS)
    wallet = Wallet.objects.select_related("program").get(program_id=program_id)
    with _node() as client:
        return intervene.preview_of_wallet(wallet, client)


@transaction.atomic
def propose_unhalt(*, by: User, program_id: int, note: str, shown: Mapping[str, Any] | None) -> Intervention:
    """Ask for a halted wallet to pay again, with what ``look_at_halt`` just gave; somebody else decides."""
    authority.require(user=by, program_id=program_id, roles=PROPOSERS)
    _require_note(note)
    wallet = Wallet.objects.lock().get(program_id=program_id)
    if shown is None or wallet.halted_at is None or wallet.halted_at.isoformat() != shown["halted_at"]:
        raise InterventionStale("The wallet is not halted for the reason that was looked at any more.")
    _require_none_open(Q(wallet=wallet, payout__isnull=True))
    return _create(
        by, note, wallet=wallet, payout=None, kind=K.UNHALT, preview=dict(shown), needs_second=True
    )


@transaction.atomic
def approve(*, by: User, intervention_id: int, note: str = "") -> Intervention:
    """Agree, as a second person, to what was proposed; the engine does it.

    Raises NotFound, RoleMissing, SamePersonTwice, StatusConflict, InterventionStale.
    """
    found = _lock(by, intervention_id)
    if by.pk == found.proposed_by_id:
        raise SamePersonTwice("Somebody else than the person who proposed it must agree.")
    _require_proposed(found)
    if found.proposed_at < timezone.now() - intervene.VALID_FOR:
        raise InterventionStale("It was proposed more than a day ago; look at the figures again.")
    if found.payout is not None:
        intervene.require_possible(found.kind, found.payout)
        if found.kind in PRICED and _is_overtaken(found.payout, found.preview):
            raise InterventionStale("The payout has another version since it was proposed; look again.")
    _decide(found, by, S.APPROVED, note, act="intervention.approve")
    doorbell.ring("intervene", intervention_id=found.pk)
    return get(user=by, intervention_id=intervention_id)


@transaction.atomic
def reject(*, by: User, intervention_id: int, note: str) -> Intervention:
    """Refuse, as a second person and for a reason, what was proposed; nothing else changes."""
    found = _lock(by, intervention_id)
    if by.pk == found.proposed_by_id:
        raise SamePersonTwice("Somebody else than the person who proposed it must decide.")
    _require_note(note)
    _decide(found, by, S.REJECTED, note, act="intervention.reject")
    return get(user=by, intervention_id=intervention_id)


@transaction.atomic
def withdraw(*, by: User, intervention_id: int, note: str) -> Intervention:
    """Take back, for a reason, what one proposed oneself and nobody has decided yet; nothing else changes.

    Raises NotFound, NotTheProposer, InvalidInput without a reason, StatusConflict.
    """
    found = _lock(by, intervention_id)
    if by.pk != found.proposed_by_id:
        raise NotTheProposer("Somebody else proposed it; who disagrees rejects it.")
    _require_note(note)
    _require_proposed(found)
    was = audit.digest(found)
    move(Intervention.objects.filter(pk=found.pk), old=S.PROPOSED, new=S.WITHDRAWN, actor_id=by.pk, note=note)
    _record("intervention.withdraw", found, by, note, was)
    return get(user=by, intervention_id=intervention_id)


def _create(by: User, note: str, **columns: Any) -> Intervention:
    row = Intervention.objects.create(proposed_by=by, note=note, **columns)
    history.begin(row, reason="a treasurer proposed it", note=note, actor_id=by.pk)
    if not row.needs_second:
        move(
            Intervention.objects.filter(pk=row.pk),
            old=S.PROPOSED,
            new=S.APPROVED,
            actor_id=by.pk,
            note="Within what one treasurer may add alone.",
        )
        doorbell.ring("intervene", intervention_id=row.pk)
    _record("intervention.propose", row, by, note, None)
    return get(user=by, intervention_id=row.pk)


def _record(act: str, row: Intervention, by: User, note: str, was: bytes | None) -> None:
    audit.record(act, row, by=by, scope=row.wallet.program.scope, reason=note, before=was)


def _decide(found: Intervention, by: User, status: str, note: str, *, act: str) -> None:
    was = audit.digest(found)
    move(
        Intervention.objects.filter(pk=found.pk),
        old=S.PROPOSED,
        new=status,
        actor_id=by.pk,
        note=note,
        decided_by_id=by.pk,
        decided_at=timezone.now(),
    )
    _record(act, found, by, note, was)


def _needs_second(by: User, payout: Payout, kind: str, figures: Mapping[str, Any]) -> bool:
    """Say whether a second person must agree: always, or above what this treasurer may add alone in a day.

    What was added alone to the same payout counts with it for ever.
    """
    if kind in ALWAYS_TWO:
        return True
    alone = Intervention.objects.filter(wallet=payout.wallet, needs_second=False).exclude(status=S.FAILED)
    recent = Q(proposed_by=by, proposed_at__gt=timezone.now() - ALONE_FOR)
    rows = alone.filter(recent | Q(payout=payout)).values_list("preview", flat=True)
    added_sat = sum(int(row["fee_added_sat"]) for row in rows)
    return added_sat + int(figures["fee_added_sat"]) > payout.wallet.program.bump_alone_limit_sat


def _payout(by: User, payout_id: int, roles: tuple[str, ...]) -> Payout:
    found = (
        Payout.objects.filter(pk=payout_id, wallet__program__memberships__user_id=by.pk)
        .select_related("wallet__program", "current")
        .distinct()
        .first()
    )
    if found is None:
        raise NotFound("There is no such payout in your programs.")
    authority.require(user=by, program_id=found.wallet.program_id, roles=roles)
    return found


def hold_still(intervention_id: int) -> None:
    """Lock what was asked for until the database transaction ends, as every decision does."""
    Intervention.objects.select_for_update().get(pk=intervention_id)


def _lock(by: User, intervention_id: int) -> Intervention:
    found = get(user=by, intervention_id=intervention_id)
    authority.require(user=by, program_id=found.wallet.program_id, roles=DECIDERS)
    return (
        Intervention.objects.select_for_update(of=("self",))
        .select_related("wallet__program", "payout__current")
        .get(pk=intervention_id)
    )


def _require_proposed(found: Intervention) -> None:
    if found.status != S.PROPOSED:
        raise StatusConflict(
            f"The intervention is {found.status}, not proposed.", subject="intervention", status=found.status
        )


def _require_none_open(about: Q) -> None:
    """Refuse a second request; the caller holds the row that it is about, so that two cannot pass."""
    other = Intervention.objects.filter(about, status__in=intervene.OPEN).first()
    if other is not None:
        raise InterventionOpen(
            f"Intervention {other.pk} ({other.get_kind_display()}) is {other.status}; it comes first.",
            intervention_id=other.pk,
        )


def _is_overtaken(payout: Payout, shown: Mapping[str, Any]) -> bool:
    """Say whether the figures are about a version that is not the newest any more, of the payout or of its child."""
    newest = payout.current
    if shown.get("child_id") is not None:
        newest = Payout.objects.select_related("current").get(pk=shown["child_id"]).current
    return newest is None or newest.txid != shown["old_txid"]


def _require_feerate(kind: str, feerate_sat_kvb: int | None, program: Program) -> None:
    if feerate_sat_kvb is None:
        if kind in (K.BUMP, K.CHILD):
            raise InvalidInput.of("feerate_sat_vb", "missing", "Say which fee rate it should have.")
    elif kind not in PRICED:
        raise InvalidInput.of("feerate_sat_vb", "not_priced", "This costs nothing; give no fee rate.")
    else:
        feerate.require_bounds(program, feerate_sat_kvb)


def _require_note(note: str) -> None:
    if not note.strip():
        raise InvalidInput.of("note", "missing", "Say why.")
    if len(note) > MAX_NOTE:
        raise InvalidInput.of("note", "too_long", f"The reason has more than {MAX_NOTE} characters.")


@contextmanager
def _node() -> Iterator[node.Node]:
    client = node.connect()
    try:
        guard.require_chain(client)
        yield client
    finally:
        client.close()
