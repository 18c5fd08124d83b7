"""Reads imports: those of a program, and what one would store, with what is known of people masked."""

from typing import Any

from django.db.models import Count, QuerySet

from payments.models import ConsentText, ImportFault, ImportJob, ImportRow, Program
from payments.models.beneficiary import PERSONAL_CONTEXT
from payments.models.encrypted import decrypt
from payments.models.intake import IntakeKind
from payments.onchain import address, network
from payments.selectors import people, scope

SHOWN_ROWS = 20
_JOINED = ("program", "made_by", "confirmed_by", "intake__disbursement")


def jobs(user: Any) -> QuerySet[ImportJob]:
    """Return the imports of the user's programs."""
    return ImportJob.objects.filter(program_id__in=scope.programs(user)).select_related(*_JOINED)


def faults_by_code(job_id: int) -> list[dict[str, Any]]:
    """Return how many faults of each code were kept, most first."""
    found = ImportFault.objects.filter(job_id=job_id).order_by()
    return list(found.values("code", "column").annotate(count=Count("id")).order_by("-count", "code"))


def preview(job: ImportJob) -> list[dict[str, Any]]:
    """Return the first rows as they would be stored: names by their initials, telephone numbers by their last digits."""
    rows = ImportRow.objects.filter(job_id=job.pk, is_bad=False).order_by("row")[:SHOWN_ROWS]
    if job.kind == IntakeKind.LINES:
        return [_line(row, job.program) for row in rows]
    texts = ConsentText.objects.filter(program_id=job.program_id)
    versions = dict(texts.filter(pk__in=[row.consent_text_id for row in rows]).values_list("pk", "version"))
    return [_person(row, versions) for row in rows]


def _person(row: ImportRow, versions: dict[int, str]) -> dict[str, Any]:
    personal = decrypt(bytes(row.personal or b""), PERSONAL_CONTEXT)
    script = row.script_pubkey
    return {
        "row": row.row,
        "reference": row.reference,
        "full_name": people.masked(personal["full_name"]),
        "phone": "•" * max(len(personal["phone"]) - 2, 0) + personal["phone"][-2:],
        # Whoever has none brings one later.
        "address": script and address.address_from_script(bytes(script), network.current()),
        "consent_version": versions.get(row.consent_text_id or 0),
        "consent_date": row.consent_date,
        "amount_minor": None,
        "amount_sat": None,
    }


def _line(row: ImportRow, program: Program) -> dict[str, Any]:
    amounts = {"amount_minor": None, "amount_sat": None, f"amount_{program.unit}": row.amount}
    nobody = dict.fromkeys(("full_name", "phone", "address", "consent_version", "consent_date"))
    return {"row": row.row, "reference": row.reference, **nobody, **amounts}
