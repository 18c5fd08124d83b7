"""The part of a payout's page that shows how deep its tx is, and asks again by itself until that is deep enough."""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from payments.admin import cells
from payments.admin.payment import depth
from payments.models import Payout
from payments.states import PayoutStatus

TEMPLATE = "payments/admin/confirmed.html"
S = PayoutStatus
# It may be in a block soon, or another block may come.
MOVES = (S.COMMITTED, S.SIGNED, S.SENT, S.MINED, S.VOIDING)
STATES = {
    S.SEALED: "It has not left the database yet.",
    S.UNSEALED: "It was given up before anybody could sign it.",
    S.COMMITTED: "It waits for its signatures.",
    S.SIGNED: "It is signed, and no node has it yet.",
    S.SENT: "A node has it; no block holds it yet.",
    S.VOIDING: "It was given up; what takes its coin back is not deep enough yet.",
    S.VOIDED: "It was given up for good.",
    S.FROZEN: "It is frozen.",
}


@dataclass(frozen=True)
class Shown:
    """What the part shows: ``depth`` of ``needed`` blocks, and ``ask_url`` while that may change."""

    status: str
    depth: int
    needed: int
    height: str
    block_hash: str
    text: str
    ask_url: str
    at: str

    @property
    def shown_depth(self) -> int:
        """The depth as far as it matters."""
        return min(self.depth, self.needed)

    @property
    def left(self) -> int:
        """How many blocks are still to come."""
        return self.needed - self.shown_depth


def of_payout(payout: Payout) -> Shown:
    """Return how deep a payout is, by the blocks that were read."""
    moves = payout.status in MOVES
    return Shown(
        status=cells.status_of(payout),
        depth=depth(payout.mined_height) or 0,
        needed=payout.wallet.program.confirmations_settled,
        height="" if payout.mined_height is None else f"{payout.mined_height:,}",
        block_hash=cells.whole(payout.mined_block_hash) if payout.mined_block_hash else "",
        text=STATES.get(S(payout.status), ""),
        ask_url=reverse("admin:payments_payout_confirmed", args=[payout.pk]) if moves else "",
        at=cells.moment(timezone.now()),
    )


def answer(request: HttpRequest, payout: Payout) -> HttpResponse:
    """Return the part alone, as it is now."""
    return TemplateResponse(request, TEMPLATE, {"confirmed": of_payout(payout)})
