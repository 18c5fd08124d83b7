"""What boards of trusts decide: one member proposes and signs, and what a second one signs is done (R-25).

The signatures are MACs over the terms (ADR 37), so that whoever writes rows of the database is no member; the database
itself counts two members of the board that was asked. What stands against a decision is told to the second member, whose
signature does not count then.
"""

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from govpay.errors import Conflict, InvalidInput, NotFound, SamePersonTwice
from ledger import audit
from payments.models import Trust, TrustDecision, TrustVote, history
from payments.models.history import move
from payments.services import trust_acts as acts
from payments.services.board import NotOnTheBoard, is_member, require_signed
from payments.states import DecisionStatus, StatusConflict
from payments.trust import following, money, words

VALID_FOR = timedelta(days=7)
MAX_NOTE = 300
D = DecisionStatus


class DecisionExpired(Conflict):
    """Nobody signed it as a second member in time."""

    code = "decision_expired"


@transaction.atomic
def propose(*, by: User, trust_id: int, kind: str, note: str, **terms: Any) -> TrustDecision:
    """Ask a board for a decision of a kind in ``acts.ACTS``, and sign it as its first member.

    ``terms`` are those that the kind needs (``acts.TERMS``), amounts in minor units and satoshis. Raises NotFound,
    NotOnTheBoard, InvalidInput with one error a field.
    """
    trust = _lock(by, trust_id)
    _require_note(note)
    now = timezone.now()
    made = TrustDecision.objects.create(
        trust=trust,
        board_number=trust.board_number,
        kind=kind,
        terms=acts.read(kind, terms),
        note=note.strip(),
        made_by=by,
        made_at=now,
        expires_at=now + VALID_FOR,
    )
    history.begin(made, reason="a member of the board proposed it", note=note, actor_id=by.pk)
    _vote(made, by)
    audit.record("trust_decision.propose", made, by=by, scope=trust.scope, reason=note)
    return made


@transaction.atomic
def sign(*, by: User, decision_id: int) -> TrustDecision:
    """Sign a decision as a second member; it is done with that, or refused with the rule that stands against it.

    Raises NotFound, NotOnTheBoard, SamePersonTwice, StatusConflict, DecisionExpired, VoteForged, TrustBelowFloor,
    TrustAboveCap, InventoryShort, LotsShort, PolicyRefused: then nothing is signed, done or booked.
    """
    found, trust = _lock_decision(by, decision_id)
    if found.votes.filter(user=by).exists():
        raise SamePersonTwice("You signed it already; another member of the board must.")
    _require_open(found)
    if found.expires_at <= timezone.now():
        raise DecisionExpired("No second member signed it in time; propose it again.")
    was = audit.digest(found)
    _vote(found, by)
    require_signed(found)
    now = timezone.now()
    move(TrustDecision.objects.filter(pk=found.pk), old=D.OPEN, new=D.CARRIED, actor_id=by.pk, ended_at=now)
    acts.carry_out(acts.Context(found, trust, by, now))
    following.look(Trust.objects.get(pk=trust.pk))
    audit.record("trust_decision.sign", found, by=by, scope=trust.scope, before=was)
    return get(decision_id)


@transaction.atomic
def withdraw(*, by: User, decision_id: int, note: str) -> TrustDecision:
    """Take back, for a reason, what one proposed oneself and nobody else has signed; raises as `sign`."""
    found, trust = _lock_decision(by, decision_id)
    if found.made_by_id != by.pk:
        raise NotOnTheBoard("Somebody else proposed it; who disagrees does not sign it.")
    _require_note(note)
    _require_open(found)
    was = audit.digest(found)
    move(
        TrustDecision.objects.filter(pk=found.pk),
        old=D.OPEN,
        new=D.WITHDRAWN,
        actor_id=by.pk,
        note=note,
        ended_at=timezone.now(),
    )
    audit.record("trust_decision.withdraw", found, by=by, scope=trust.scope, reason=note, before=was)
    return get(decision_id)


def get(decision_id: int) -> TrustDecision:
    """Return a decision with its trust, proposer and signatures."""
    rows = TrustDecision.objects.select_related("trust", "made_by").prefetch_related("votes__user")
    return rows.get(pk=decision_id)


def _lock(by: User, trust_id: int) -> Trust:
    if not Trust.objects.filter(pk=trust_id).exists():
        raise NotFound("There is no such trust.")
    trust = money.lock(trust_id)
    if not is_member(by, trust_id):
        raise NotOnTheBoard(f"Only the board of {trust} decides this.")
    return trust


def _lock_decision(by: User, decision_id: int) -> tuple[TrustDecision, Trust]:
    trust_id = TrustDecision.objects.filter(pk=decision_id).values_list("trust_id", flat=True).first()
    if trust_id is None:
        raise NotFound("There is no such decision.")
    trust = _lock(by, trust_id)
    rows = TrustDecision.objects.select_for_update(of=("self",)).select_related("made_by")
    return rows.get(pk=decision_id), trust


def _vote(decision: TrustDecision, by: User) -> None:
    row = TrustVote(decision=decision, user=by, at=timezone.now())
    words.sign_vote(row)
    row.save(force_insert=True)


def _require_open(found: TrustDecision) -> None:
    if found.status != D.OPEN:
        raise StatusConflict(
            f"The decision is {found.status}, not open.", subject="decision", status=found.status
        )


def _require_note(note: str) -> None:
    if not note.strip():
        raise InvalidInput.of("note", "missing", "Say why.")
    if len(note.strip()) > MAX_NOTE:
        raise InvalidInput.of("note", "too_long", f"The note has more than {MAX_NOTE} characters.")
