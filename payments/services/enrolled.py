"""Who says what only one enrolled person knows, and what is paid to them."""

import hmac

from django.db.models import QuerySet

from payments.models import Enrollment, Payment, Program
from payments.services import identity
from payments.states import DisbursementStatus


def prove(program: Program, reference: str, national_id: str) -> Enrollment | None:
    """Return who is enrolled under the reference, if the id is theirs; the id is hashed whether anybody is or not."""
    given = identity.hash_of(national_id)
    found = Enrollment.objects.filter(program=program, reference=reference.strip()[:40])
    row = found.select_related("beneficiary", "program").first()
    known = b"" if row is None else bytes(row.beneficiary.identity_hash)
    return row if hmac.compare_digest(known, given) and given else None


def released_to(enrollment: Enrollment) -> QuerySet[Payment]:
    """Return the payments to a person in the program whose lists were released."""
    return Payment.objects.filter(
        beneficiary_id=enrollment.beneficiary_id,
        disbursement__program_id=enrollment.program_id,
        disbursement__status__in=[DisbursementStatus.RELEASED, DisbursementStatus.COMPLETED],
    )
