"""The words of people about trusts that carry MACs: a member's signature, and what somebody wants to be paid in (ADR 37)."""

from typing import Any

from govpay.errors import Conflict
from payments.models import Election, TrustVote
from payments.payout import agreed

VOTE, ELECTION = "govpay-trust-vote-1", "govpay-election-1"
OWN_ELECTION = "govpay-own-election-1"


class VoteForged(Conflict):
    """What the database says of a member's signature was written by none of our processes, or is of other terms."""

    code = "vote_forged"


class ElectionForged(Conflict):
    """What the database says that somebody elected was written by none of our processes."""

    code = "election_forged"


def sign_vote(row: TrustVote) -> None:
    """Put the MAC of what a member signs into a row that is about to be added."""
    row.key_id = agreed.newest_key()
    row.mac = agreed.mac_of(row.key_id, *_of_vote(row)) or b""


def require_vote(row: TrustVote) -> None:
    """Raise VoteForged unless a process of ours took this signature under these terms."""
    if not agreed.is_mac(row.mac, row.key_id, *_of_vote(row)):
        raise VoteForged(
            f"A signature under decision {row.decision_id} was taken by none of our processes.",
            decision_id=row.decision_id,
            user_id=row.user_id,
        )


def sign_election(row: Election) -> None:
    """Put the MAC of what somebody elected into a row that is about to be added."""
    row.key_id = agreed.newest_key()
    row.mac = agreed.mac_of(row.key_id, *_of_election(row)) or b""


def require_election(row: Election) -> None:
    """Raise ElectionForged unless a process of ours wrote it down as it stands."""
    if not agreed.is_mac(row.mac, row.key_id, *_of_election(row)):
        raise ElectionForged(
            f"Election {row.pk} was written down by none of our processes.",
            election_id=row.pk,
            enrollment_id=row.enrollment_id,
        )


def _of_vote(row: TrustVote) -> tuple[Any, ...]:
    decision = row.decision
    return (
        VOTE,
        decision.pk,
        decision.trust_id,
        decision.board_number,
        decision.kind,
        decision.terms,
        decision.note,
        decision.made_by_id,
        row.user_id,
        agreed.moment(row.at),
    )


def _of_election(row: Election) -> tuple[Any, ...]:
    chosen = (row.enrollment_id, row.choice, row.purse_id)
    if row.code_id is not None:
        return (OWN_ELECTION, *chosen, row.code_id, agreed.moment(row.made_at))
    return (ELECTION, *chosen, row.made_by_id, agreed.moment(row.made_at))
