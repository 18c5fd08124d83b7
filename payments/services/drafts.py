"""Makes the draft of a list whose lines come from another list: of what is void, was claimed, or was chosen instead."""

import hashlib

from django.contrib.auth.models import User

from payments.models import Cycle, Disbursement, Intake, Rail
from payments.models.intake import IntakeKind, IntakeStatus


def make(
    *,
    by: User,
    original: Disbursement,
    cycle: Cycle,
    count: int,
    total: int,
    lines: str,
    rail: str = Rail.BITCOIN,
) -> Disbursement:
    """Return a new draft of so many lines, whose rows the caller adds, in the cycle that it has locked.

    ``lines`` names whence they come, once: the file that an officer would have brought is known by its hash.
    """
    intake = Intake.objects.create(
        program_id=original.program_id,
        kind=IntakeKind.LINES,
        status=IntakeStatus.LOADED,
        sha256=hashlib.sha256(lines.encode()).digest(),
        rows_total=count,
        rows_loaded=count,
        rows_refused=0,
        created_by=by,
    )
    return Disbursement.objects.create(
        program_id=original.program_id,
        cycle=cycle,
        intake=intake,
        rail=rail,
        payment_count=count,
        **original.program.amounts("total", total),
        is_urgent=original.is_urgent,
        made_by=by,
    )
