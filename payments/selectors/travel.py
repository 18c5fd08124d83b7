"""What people may see of the travel rule: which payments it counted, and never the payload."""

from typing import Any

from django.db.models import QuerySet

from payments.models import TravelRecord
from payments.selectors import scope


def records(user: Any) -> QuerySet[TravelRecord]:
    """Return the records of the user's programs, without what is encrypted."""
    rows = TravelRecord.objects.filter(disbursement__program__in=scope.programs(user))
    return rows.select_related("payment", "originator").defer("payload")
