"""Whoever lodged a grievance reads the answer by number and secret, agrees, disagrees, or takes it back."""

import hmac
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from govpay.errors import NotFound
from payments.models import Grievance
from payments.payout import alarms
from payments.services import grievance_clock, grievance_words, grievances, tickets
from payments.states import GrievanceStatus


def read(*, grievance_id: int, secret: str) -> Grievance:
    """Return a grievance to whoever holds its secret; NotFound says the same of a wrong number and a wrong secret."""
    given = tickets.digest(secret)
    rows = Grievance.objects.select_related("program", "payment__payout")
    row = rows.filter(pk=grievance_id).first()
    if not given or row is None or not hmac.compare_digest(bytes(row.secret_hash), given):
        raise NotFound("There is no grievance with this number and this code.")
    return row


@transaction.atomic
def agree(
    *, grievance_id: int, secret: str, received_sat: int | None = None, now: datetime | None = None
) -> Grievance:
    """The person takes the answer, and says what they have received by now; raises NotFound, StatusConflict."""
    row, before = _lock_by_secret(grievance_id, secret)
    grievance_words.require_amount(received_sat)
    said: dict[str, Any] = {} if received_sat is None else {"received_sat": received_sat}
    grievances.move_on(row, GrievanceStatus.CLOSED, ended_at=now or timezone.now(), **said)
    return grievances.recorded("grievance.agree", row, before=before)


@transaction.atomic
def disagree(
    *,
    grievance_id: int,
    secret: str,
    text: str,
    received_sat: int | None = None,
    now: datetime | None = None,
) -> Grievance:
    """The person says why the answer is wrong: it goes on with its owner, and a new clock.

    Raises NotFound, StatusConflict, InvalidInput.
    """
    row, before = _lock_by_secret(grievance_id, secret)
    grievance_words.require_text("text", text, grievance_words.MOST_TEXT)
    grievance_words.require_amount(received_sat)
    said: dict[str, Any] = {} if received_sat is None else {"received_sat": received_sat}
    due_at = (now or timezone.now()) + timedelta(days=row.program.grievance_due_days)
    whole = f"{row.said['text']}\n\n{text.strip()}"[-2 * grievance_words.MOST_TEXT :]
    grievances.move_on(row, GrievanceStatus.WORKING, said=row.said | {"text": whole}, due_at=due_at, **said)
    return grievances.recorded("grievance.disagree", row, before=before)


@transaction.atomic
def withdraw(*, grievance_id: int, secret: str, now: datetime | None = None) -> Grievance:
    """The person takes it back before it is answered; raises NotFound, StatusConflict."""
    row, before = _lock_by_secret(grievance_id, secret)
    grievances.move_on(row, GrievanceStatus.WITHDRAWN, ended_at=now or timezone.now())
    alarms.clear(
        grievance_clock.OVERDUE, subject="grievance", subject_id=row.pk, note="The person took it back."
    )
    return grievances.recorded("grievance.withdraw", row, before=before)


def _lock_by_secret(grievance_id: int, secret: str) -> tuple[Grievance, bytes | None]:
    read(grievance_id=grievance_id, secret=secret)
    return grievances.locked(grievance_id)
