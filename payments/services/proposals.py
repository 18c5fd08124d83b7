"""Proposes, confirms, rejects and withdraws changes of rules and roles: two security administrators for each.

KINDS is the registry. What two people have seen is done in the database transaction of the confirmation, or not at all.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from govpay.errors import Conflict, Forbidden, InvalidInput, NotFound, SamePersonTwice
from ledger import audit
from payments.models import Membership, Proposal, Role, history
from payments.models.history import move
from payments.services import (
    authority,
    holdings,
    institutions,
    originators,
    paying_accounts,
    price_rules,
    roles,
    rules,
    trusts,
    webhooks,
)
from payments.services.change import Kind
from payments.states import ProposalStatus, StatusConflict

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        rules.KIND,
        roles.GRANT,
        roles.REVOCATION,
        webhooks.KIND,
        price_rules.RULE,
        price_rules.SOURCE,
        holdings.KIND,
        paying_accounts.KIND,
        originators.KIND,
        trusts.KIND,
        institutions.KIND,
    )
}
OF_ROLES = [(kind.name, kind.label) for kind in (roles.GRANT, roles.REVOCATION)]
CHOICES = [(kind.name, kind.label) for kind in KINDS.values()]
# Who proposes and who confirms; what is about no program takes one of any program.
DECIDERS = (Role.SECURITY,)
VALID_FOR = timedelta(days=7)
MAX_NOTE = 300
S = ProposalStatus


class ProposalStale(Conflict):
    """What would change has changed since it was proposed."""

    code = "proposal_stale"


class ProposalExpired(Conflict):
    """Nobody confirmed it in time."""

    code = "proposal_expired"


class NotTheProposer(Forbidden):
    """Only who proposed something takes it back."""

    code = "not_the_proposer"


@transaction.atomic
def propose(
    *,
    by: User,
    program_id: int | None,
    kind: str,
    asked: dict[str, Any],
    note: str,
    about: User | None = None,
) -> Proposal:
    """Ask for a change of a kind in KINDS; another security administrator confirms it within VALID_FOR.

    Raises NotFound, RoleMissing, InvalidInput, and what the kind refuses.
    """
    _require(by, program_id)
    _require_note(note)
    now = timezone.now()
    proposal = Proposal(
        kind=kind,
        program_id=program_id,
        about=about,
        asked=asked,
        note=note,
        proposed_by=by,
        expires_at=now + VALID_FOR,
    )
    proposal.before = KINDS[kind].current(proposal)
    proposal.after = KINDS[kind].change(proposal, proposal.before)
    proposal.save()
    history.begin(proposal, reason="a security administrator proposed it", note=note, actor_id=by.pk)
    _record("proposal.propose", proposal, by, note, None)
    return proposal


@transaction.atomic
def propose_rules(*, by: User, program_id: int, asked: dict[str, Any], note: str) -> Proposal:
    """Ask for other rules of a program; those that it has already are left out. Raises as `propose`."""
    _require(by, program_id)
    changes = rules.differing(program_id, asked)
    return propose(by=by, program_id=program_id, kind=rules.KIND.name, asked=changes, note=note)


@transaction.atomic
def propose_role(*, by: User, program_id: int, kind: str, username: str, role: str, note: str) -> Proposal:
    """Ask for a role to be given (``grant``) to an active user, or to end (``revocation``) for a member.

    Raises InvalidInput for a name that nobody has, to those only who may propose; else as `propose`.
    """
    _require(by, program_id)
    found = User.objects.filter(username=username)
    if kind == roles.GRANT.name:
        about = found.filter(is_active=True).first()
    else:
        about = found.filter(
            Exists(Membership.objects.filter(user=OuterRef("pk"), program=program_id))
        ).first()
    if about is None:
        raise InvalidInput.of(
            "username", "user_unknown", "There is nobody with this name whom it could be about."
        )
    return propose(by=by, program_id=program_id, kind=kind, asked={"role": role}, note=note, about=about)


@transaction.atomic
def propose_webhook(
    *,
    by: User,
    program_id: int,
    note: str,
    webhook_id: int | None = None,
    url: str | None = None,
    event_types: list[str] | None = None,
) -> Proposal:
    """Ask for a new webhook, or for another address or other event types of one; what is left out stays.

    Without event types a new one is told everything. Raises as `propose`.
    """
    given = {"url": url, "event_types": event_types}
    asked = {name: value for name, value in given.items() if value is not None} | {"webhook_id": webhook_id}
    return propose(by=by, program_id=program_id, kind=webhooks.KIND.name, asked=asked, note=note)


@transaction.atomic
def propose_price_rule(*, by: User, currency: str, note: str, **rule: Any) -> Proposal:
    """Ask for a rule by which a price is made in a currency, or for changes of it; what is left out stays.

    ``rule`` are columns of PriceRule, prices as text. It is about no program: another security administrator of any one
    confirms it. Raises UnknownCurrency; else as `propose`.
    """
    asked = {"currency": currency} | {name: value for name, value in rule.items() if value is not None}
    return propose(by=by, program_id=None, kind=price_rules.RULE.name, asked=asked, note=note)


@transaction.atomic
def propose_price_source(*, by: User, note: str, source_id: int | None = None, **source: Any) -> Proposal:
    """Ask for a source of prices, or for another address, name or limit of one, or its end; what is left out stays.

    ``source`` are columns of PriceSource, and ``is_ended``. Raises as `propose_price_rule`.
    """
    asked = {"source_id": source_id} | {name: value for name, value in source.items() if value is not None}
    return propose(by=by, program_id=None, kind=price_rules.SOURCE.name, asked=asked, note=note)


@transaction.atomic
def propose_holding(
    *,
    by: User,
    note: str,
    holding_id: int | None = None,
    addresses: Sequence[str] | None = None,
    **holding: Any,
) -> Proposal:
    """Ask for a holding of an institution, or for another cap of one, or its end; what is left out stays.

    ``addresses`` are what `holdings.gather` returned, and whoever confirms it agrees to just these;
    declared ones have satoshis behind a space. ``holding`` are columns of Holding, and ``is_ended``. Raises as
    `propose_price_rule`.
    """
    asked = {"holding_id": holding_id} | {name: value for name, value in holding.items() if value is not None}
    if addresses is not None:
        asked["addresses"] = list(addresses)
    return propose(by=by, program_id=None, kind=holdings.KIND.name, asked=asked, note=note)


@transaction.atomic
def propose_paying_account(
    *, by: User, note: str, program_id: int | None = None, scope: str = "", **account: str
) -> Proposal:
    """Ask for the account from which a program, or an institution named by its ``scope``, pays by bank file.

    ``account`` is its title, iban, bic (may be empty) and currency. Raises InvalidIban, UnknownCurrency; else as `propose`.
    """
    asked = {"scope": scope if program_id is None else f"program:{program_id}", **account}
    return propose(by=by, program_id=program_id, kind=paying_accounts.KIND.name, asked=asked, note=note)


@transaction.atomic
def propose_originator(*, by: User, note: str, program_id: int, **originator: str) -> Proposal:
    """Ask for who pays in a program, as the travel rule wants it known: `originators.OF_ORIGINATOR`, all of it anew.

    Raises as `propose`.
    """
    return propose(by=by, program_id=program_id, kind=originators.KIND.name, asked=originator, note=note)


@transaction.atomic
def propose_trust(*, by: User, note: str, trust_id: int | None = None, **trust: Any) -> Proposal:
    """Ask for a convertibility trust with its board of three and its first terms, or for other people or law of one.

    ``trust`` are `trusts.OF_TRUST`, ``members`` by their user names and, of a new one, `trusts.OF_BOARD`. What is left out
    stays. Raises as `propose_price_rule`.
    """
    asked = {"trust_id": trust_id} | {name: value for name, value in trust.items() if value is not None}
    return propose(by=by, program_id=None, kind=trusts.KIND.name, asked=asked, note=note)


@transaction.atomic
def propose_institution(
    *, by: User, note: str, institution_id: int | None = None, **institution: Any
) -> Proposal:
    """Ask for an institution that holds bitcoin, or for changes of one; what is left out stays.

    ``institution`` are columns of Institution. Raises as `propose_price_rule`.
    """
    asked = {"institution_id": institution_id}
    asked |= {name: value for name, value in institution.items() if value is not None}
    return propose(by=by, program_id=None, kind=institutions.KIND.name, asked=asked, note=note)


@transaction.atomic
def confirm(*, by: User, proposal_id: int, note: str = "") -> Proposal:
    """Agree, as a second person, to what was proposed, and do it.

    Raises NotFound, RoleMissing, SamePersonTwice, StatusConflict, ProposalExpired, ProposalStale, and what the kind refuses.
    """
    found = _lock(by, proposal_id)
    _require_second(by, found)
    if found.expires_at <= timezone.now():
        raise ProposalExpired("Nobody confirmed it in time; propose it again.")
    kind = KINDS[found.kind]
    if kind.current(found) != found.before or kind.change(found, found.before) != found.after:
        raise ProposalStale("What it would change has changed since; look again, and propose it anew.")
    _decide(found, by, S.CONFIRMED, note, act="proposal.confirm")
    kind.apply(found, by)
    return get(user=by, proposal_id=proposal_id)


@transaction.atomic
def reject(*, by: User, proposal_id: int, note: str) -> Proposal:
    """Refuse, as a second person and for a reason, what was proposed; nothing else changes."""
    found = _lock(by, proposal_id)
    _require_second(by, found)
    _require_note(note)
    _decide(found, by, S.REJECTED, note, act="proposal.reject")
    return get(user=by, proposal_id=proposal_id)


@transaction.atomic
def withdraw(*, by: User, proposal_id: int, note: str) -> Proposal:
    """Take back, for a reason, what one proposed oneself and nobody has decided yet; nothing else changes.

    Raises NotFound, RoleMissing, NotTheProposer, InvalidInput without a reason, StatusConflict.
    """
    found = _lock(by, proposal_id)
    if by.pk != found.proposed_by_id:
        raise NotTheProposer("Somebody else proposed it; who disagrees rejects it.")
    _require_note(note)
    _require_proposed(found)
    was = audit.digest(found)
    move(Proposal.objects.filter(pk=found.pk), old=S.PROPOSED, new=S.WITHDRAWN, actor_id=by.pk, note=note)
    _record("proposal.withdraw", found, by, note, was)
    return get(user=by, proposal_id=proposal_id)


def get(*, user: User, proposal_id: int) -> Proposal:
    """Return a proposal that the user may read; raise NotFound otherwise."""
    mine = Membership.objects.reading(user, *DECIDERS)
    everywhere = Q(program=None) if mine.filter(role__in=DECIDERS).exists() else Q(pk__in=[])
    found = (
        Proposal.objects.filter(Q(program__in=mine.values("program_id")) | everywhere, pk=proposal_id)
        .select_related("program", "about", "proposed_by", "decided_by")
        .first()
    )
    if found is None:
        raise NotFound("There is no such proposal in your programs.")
    return found


def _lock(by: User, proposal_id: int) -> Proposal:
    found = get(user=by, proposal_id=proposal_id)
    _require(by, found.program_id)
    locked = Proposal.objects.select_for_update(of=("self",)).select_related(
        "proposed_by", "about", "program"
    )
    return locked.get(pk=proposal_id)


def _require(by: User, program_id: int | None) -> None:
    if program_id is not None:
        authority.require(user=by, program_id=program_id, roles=DECIDERS)
    else:
        authority.require_anywhere(by, DECIDERS)


def _require_second(by: User, found: Proposal) -> None:
    if by.pk == found.proposed_by_id:
        raise SamePersonTwice("Somebody else than the person who proposed it must decide.")
    if by.pk == found.about_id:
        raise SamePersonTwice("Nobody decides about a role of their own.")
    _require_proposed(found)


def _require_proposed(found: Proposal) -> None:
    if found.status != S.PROPOSED:
        raise StatusConflict(
            f"The proposal is {found.status}, not proposed.", subject="proposal", status=found.status
        )


def _require_note(note: str) -> None:
    if not note.strip():
        raise InvalidInput.of("note", "missing", "Say why.")
    if len(note) > MAX_NOTE:
        raise InvalidInput.of("note", "too_long", f"The reason has more than {MAX_NOTE} characters.")


def _record(act: str, row: Proposal, by: User, note: str, was: bytes | None) -> None:
    scope = row.program.scope if row.program is not None else ""
    audit.record(act, row, by=by, scope=scope, reason=note, before=was)


def _decide(found: Proposal, by: User, status: str, note: str, *, act: str) -> None:
    was = audit.digest(found)
    move(
        Proposal.objects.filter(pk=found.pk),
        old=S.PROPOSED,
        new=status,
        actor_id=by.pk,
        note=note,
        decided_by_id=by.pk,
        decided_at=timezone.now(),
    )
    _record(act, found, by, note, was)
