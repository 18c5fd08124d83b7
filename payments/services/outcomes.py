"""Enters what a program was before, by the word of a source, for its outcomes to be compared with."""

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from govpay.errors import InvalidInput
from ledger import audit
from payments.models import OutcomeBaseline, Role
from payments.models.outcome import TIMES
from payments.services import authority


@transaction.atomic
def enter_baseline(
    *,
    by: User,
    program_id: int,
    figure: str,
    numerator: int,
    denominator: int,
    source: str,
    seconds: int | None = None,
) -> OutcomeBaseline:
    """Enter a figure from before the program; a later one takes its place, and the earlier one stays to be read.

    Needs the treasurer's role. Raises InvalidInput with one error a field: a denominator of nothing, a time of more payments
    than there are, a source left out, seconds where the figure is no time.
    """
    authority.require(user=by, program_id=program_id, roles=(Role.TREASURER,))
    row = OutcomeBaseline(
        program_id=program_id,
        figure=figure,
        numerator=numerator,
        denominator=denominator,
        seconds=seconds,
        source=source.strip(),
        entered_by=by,
    )
    found = _broken(row)
    if found:
        raise InvalidInput.of_each(found)
    row.save()
    audit.record("outcome.enter_baseline", row, by=by, scope=row.program.scope)
    return row


def _broken(row: OutcomeBaseline) -> list[tuple[str, str, str]]:
    """Return column, code and message of each rule that the row breaks."""
    try:
        row.clean_fields()
    except ValidationError as error:
        return [(column, "invalid", text) for column, texts in error.message_dict.items() for text in texts]
    found = []
    is_time = row.figure in TIMES
    if row.denominator == 0:
        found.append(
            ("denominator", "denominator_missing", "Say of how many; a figure of nothing says nothing.")
        )
    if is_time and row.numerator > row.denominator:
        found.append(("numerator", "numerator_above_denominator", "More were measured than there were."))
    if is_time and row.seconds is None:
        found.append(("seconds", "seconds_missing", "This figure is a time: say how many seconds."))
    if not is_time and row.seconds is not None:
        found.append(("seconds", "seconds_out_of_place", "This figure is no time: leave the seconds out."))
    return found
