"""Who is on a trust's board, and whether two of it signed a decision, in words that our processes took."""

from django.contrib.auth.models import User

from govpay.errors import Conflict, Forbidden
from payments.models import TrustDecision, TrustSeat
from payments.models.trust import QUORUM
from payments.trust import words


class NotOnTheBoard(Forbidden):
    """Only members of the trust's board propose and sign what it decides."""

    code = "not_on_the_board"


class DecisionUnsigned(Conflict):
    """Fewer than two members have signed the decision."""

    code = "decision_unsigned"


def is_member(user: User, trust_id: int) -> bool:
    """Say whether the user is on the trust's board now."""
    seats = TrustSeat.objects.filter(trust_id=trust_id, user_id=user.pk, ended_at=None)
    return user.is_active and seats.exists()


def require_signed(decision: TrustDecision) -> None:
    """Raise VoteForged or DecisionUnsigned unless two members of the board that was asked signed these terms."""
    votes = list(decision.votes.select_related("decision").order_by("pk"))
    for vote in votes:
        words.require_vote(vote)
    seats = TrustSeat.objects.filter(trust_id=decision.trust_id, board_number=decision.board_number)
    members = set(seats.values_list("user_id", flat=True))
    if len({vote.user_id for vote in votes} & members) < QUORUM:
        raise DecisionUnsigned(
            f"Two members sign decision {decision.pk}; {len(votes)} did.", decision_id=decision.pk
        )
