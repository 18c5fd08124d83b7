"""Gives out what the travel rule keeps, to whom it is for, and destroys it when its time is over (R-34)."""

import hashlib
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from govpay.errors import Conflict, GovPayError
from ledger import audit
from payments.models import Role, TravelRecord
from payments.services import authority

READERS = (Role.AUDITOR, Role.RELEASER)
ROWS_AT_ONCE = 1_000


class PayloadMissing(Conflict):
    """Of this payment there is no payload: something was not known, or the time for which it was kept is over."""

    code = "payload_missing"


class PayloadChanged(GovPayError):
    """The payload in the database is not the one that was made: nobody gets it."""

    code = "payload_changed"
    http_status = 500


@transaction.atomic
def fetch(*, by: User, payment_id: int) -> tuple[TravelRecord, bytes]:
    """Return the record of a payment and its payload (JSON) to an auditor or a releaser; each reading is an audit event.

    Raises RoleMissing, PayloadMissing, PayloadChanged.
    """
    record = TravelRecord.objects.filter(payment=payment_id).select_related("disbursement__program").first()
    if record is None:
        raise PayloadMissing("The travel rule did not count this payment.")
    program = record.disbursement.program
    authority.require(user=by, program_id=program.pk, roles=READERS)
    if record.payload is None:
        what = f"{record.missing} is not known" if record.missing else "it was kept as long as the rule says"
        raise PayloadMissing(f"There is no payload of this payment: {what}.")
    payload = record.payload["text"].encode()
    if hashlib.sha256(payload).digest() != bytes(record.sha256 or b""):
        raise PayloadChanged("The payload is not the one that was made.", payment_id=payment_id)
    audit.record("travel_rule.read", record, by=by, scope=program.scope)
    return record, payload


def forget(now: datetime | None = None) -> int:
    """Destroy payloads whose time is over, of erased people and all others; return how many."""
    now, count = now or timezone.now(), 0
    over = TravelRecord.objects.filter(payload__isnull=False, keep_until__lte=now).order_by(
        "keep_until", "pk"
    )
    while scopes := dict(over.values_list("pk", "disbursement__program_id")[:ROWS_AT_ONCE]):
        with transaction.atomic():
            count += TravelRecord.objects.filter(pk__in=scopes).update(payload=None, forgotten_at=now)
            audit.record_all(
                "travel_rule.forget",
                TravelRecord,
                {pk: f"program:{program}" for pk, program in scopes.items()},
            )
    return count
