"""Chooses the feerate of what is built now: the node's estimate inside a program's policy, or a reason to wait."""

import re
from datetime import timedelta

import structlog
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from govpay.errors import GovPayError, InvalidInput
from payments.models import Disbursement, Program
from payments.onchain import fee, node
from payments.onchain.fee import FeerateOutOfBounds
from payments.payout import alarms, caps

log = structlog.get_logger(__name__)

# What Bitcoin Core itself refuses to send unless told otherwise. An estimate above it is a broken estimator, not a
# busy network, so that it counts as no estimate and is not answered by paying the ceiling.
SANE_SAT_KVB = 10_000_000
# A list that fees keep waiting for so long needs somebody who looks at the program's policy.
ALARM_AFTER_S = 6 * 3600
ALARM = "fees_block"
_SAT_VB = re.compile(r"(0|[1-9][0-9]{0,6})(\.[0-9]{1,3})?", re.ASCII)


class FeeSpike(GovPayError):
    """The network asks for more than a list that is not urgent pays; it waits until fees fall."""

    code = "fee_spike"
    http_status = 503
    is_transient = True


class FeerateRefused(GovPayError):
    """A feerate that a person asked for is outside the program's bounds, or no feerate at all."""

    code = "feerate_refused"
    http_status = 422


BLOCKS = (FeeSpike, FeerateOutOfBounds, caps.FeeOverShare, caps.FeeOverBudget, caps.FeeOverReserve)


def choose(program: Program, client: node.Node, *, is_urgent: bool) -> int:
    """Return the sat/kvB to pay now: the node's estimate in the program's bounds, above the node's own minimum.

    Without a usable estimate (none, zero, negative, no number, above SANE_SAT_KVB) the program's fallback counts.
    Raises FeeSpike for a list that is not urgent while that is above the program's patience, and
    fee.FeerateOutOfBounds when the node wants more than the ceiling, which nobody pays.
    """
    expected = estimate(client, program.target_blocks)
    patience = program.feerate_patient_sat_kvb
    fallback = program.feerate_fallback_sat_kvb
    if patience is not None and not is_urgent:
        # A guess is no spike: a patient list must not wait for ever at a node that has no estimates.
        fallback = min(fallback, patience)
    chosen = fee.bounded(
        expected,
        floor=max(program.feerate_floor_sat_kvb, client.mempool_min_feerate_sat_kvb()),
        ceiling=program.feerate_ceiling_sat_kvb,
        fallback=fallback,
    )
    require_patience(program, chosen, is_urgent=is_urgent)
    return chosen


def require_patience(program: Program, feerate_sat_kvb: int, *, is_urgent: bool) -> None:
    """Raise FeeSpike when a list that is not urgent does not pay this feerate."""
    patience = program.feerate_patient_sat_kvb
    if is_urgent or patience is None or feerate_sat_kvb <= patience:
        return
    raise FeeSpike(
        f"Fees are high now: {text(feerate_sat_kvb)} and more, and a list that is not urgent pays at most "
        f"{text(patience)}.",
        feerate_sat_kvb=feerate_sat_kvb,
        patient_sat_kvb=patience,
    )


def require_bounds(program: Program, feerate_sat_kvb: int) -> None:
    """Raise FeerateRefused, naming the bound, unless a person may ask for this feerate."""
    floor, ceiling = program.feerate_floor_sat_kvb, program.feerate_ceiling_sat_kvb
    if floor <= feerate_sat_kvb <= ceiling:
        return
    asked, bounds = text(feerate_sat_kvb), f"{text(floor)} to {text(ceiling)}"
    raise FeerateRefused(
        f"{asked} is below the program's floor; it may be {bounds}."
        if feerate_sat_kvb < floor
        else f"{asked} is above the program's ceiling; it may be {bounds}.",
        feerate_sat_kvb=feerate_sat_kvb,
        floor_sat_kvb=floor,
        ceiling_sat_kvb=ceiling,
    )


def parse_sat_vb(given: str) -> int:
    """Return the sat/kvB of a person's sat/vB, such as ``12.5``: ASCII digits, at most three of them after the point.

    Raises InvalidInput for everything else, zero included.
    """
    if _SAT_VB.fullmatch(given) and (found := fee.feerate_from_sat_vb(given)) > 0:
        return found
    message = "Give a fee rate in sat/vB above zero, with at most three digits after the point, such as 12.5."
    column = {"row": 0, "column": "feerate_sat_vb", "code": "feerate_invalid", "message": message}
    raise InvalidInput(message, errors=[column])


def text(feerate_sat_kvb: int) -> str:
    """Write a feerate for people, exactly: ``12.5 sat/vB``."""
    return f"{fee.sat_vb(feerate_sat_kvb).normalize():f} sat/vB"


@transaction.atomic
def note_wait(disbursement_id: int, error: GovPayError) -> None:
    """Note since when fees keep a list waiting, and open an alarm once that is long; other reasons are not noted here."""
    rows = Disbursement.objects.filter(pk=disbursement_id)
    if not isinstance(error, BLOCKS):
        return
    rows.update(fees_wait_since=Coalesce(F("fees_wait_since"), Now()))
    long_ago = rows.filter(fees_wait_since__lte=Now() - timedelta(seconds=ALARM_AFTER_S))
    for program_id in long_ago.values_list("program_id", flat=True):
        alarms.sound(
            ALARM,
            subject="disbursement",
            subject_id=disbursement_id,
            program_id=program_id,
            message=f"Fees have kept this list waiting for long. {error.message}",
        )


def end_wait(disbursement_id: int) -> None:
    """Note that a list is being paid again, and close its alarm."""
    waiting = Disbursement.objects.filter(pk=disbursement_id, fees_wait_since__isnull=False)
    if waiting.update(fees_wait_since=None):
        alarms.clear(
            ALARM, subject="disbursement", subject_id=disbursement_id, note="The list is paid again."
        )


def estimate(client: node.Node, target_blocks: int) -> int | None:
    """Return the sat/kvB that the node expects to confirm within the blocks; None for no estimate, and for an insane one."""
    try:
        found = client.estimate_feerate_sat_kvb(target_blocks)
    except (node.NodeReplyInvalid, node.RpcError) as error:
        # The node answers, only not with an estimate; whatever else is wrong with it shows at the next call.
        log.warning("estimate_missing", target_blocks=target_blocks, reason=error.message)
        return None
    if found is None or 0 < found <= SANE_SAT_KVB:
        return found
    log.warning("estimate_insane", target_blocks=target_blocks, feerate_sat_kvb=found)
    return None
