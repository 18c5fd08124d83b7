"""Enters what paying costs elsewhere, by the word of a source, for projections to be compared with."""

from datetime import date

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from govpay.errors import InvalidInput
from ledger import audit
from payments.models import CostBaseline, Role
from payments.services import authority


@transaction.atomic
def enter_baseline(
    *,
    by: User,
    program_id: int,
    name: str,
    numerator: int,
    denominator: int,
    source: str,
    measured_date: date,
    currency: str = "",
) -> CostBaseline:
    """Enter a cost; a later one of the name takes its place, and the earlier one stays to be read.

    Needs the treasurer's role. Raises InvalidInput with one error a field: what names no currency, a denominator of nothing,
    a name or source left out, a day that has not come.
    """
    authority.require(user=by, program_id=program_id, roles=(Role.TREASURER,))
    row = CostBaseline(
        program_id=program_id,
        name=name.strip(),
        currency=currency,
        numerator=numerator,
        denominator=denominator,
        source=source.strip(),
        measured_date=measured_date,
        entered_by=by,
    )
    found = _broken(row)
    if found:
        raise InvalidInput.of_each(found)
    row.save()
    audit.record("projection.enter_baseline", row, by=by, scope=row.program.scope)
    return row


def _broken(row: CostBaseline) -> list[tuple[str, str, str]]:
    """Return column, code and message of each rule that the row breaks."""
    try:
        row.clean_fields()
    except ValidationError as error:
        return [(column, "invalid", text) for column, texts in error.message_dict.items() for text in texts]
    if row.measured_date > timezone.now().date():
        return [("measured_date", "date_to_come", "Nothing has been measured on a day that has not come.")]
    return []
