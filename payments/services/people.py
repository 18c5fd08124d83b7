"""Enrolls people in a program, one or a file of them."""

from collections.abc import Iterable, Sequence
from typing import BinaryIO

from django.contrib.auth.models import User
from django.db import transaction

from govpay.errors import InvalidInput
from ledger import audit
from payments.models import Enrollment, Intake, Program, Role
from payments.models.intake import IntakeKind, IntakeStatus
from payments.services import authority, csv_source, erasures, exclusions, intake, person_rows, registry

COLUMNS = ("reference", "national_id", "full_name", "phone", "address")
# To which version of the program's text the person agreed, and when: both or neither.
OPTIONAL = ("consent_version", "consent_date")


def import_csv(
    *,
    by: User,
    program_id: int,
    file: BinaryIO,
    filename: str,
    accept_partial: bool = False,
    progress: intake.Progress | None = None,
) -> Intake:
    """Enroll the people of a UTF-8 CSV file with the columns COLUMNS, and OPTIONAL; return what became of the file.

    One bad row refuses the file, unless ``accept_partial``: then the good rows are enrolled. Of rows that claim
    the same thing the first counts. Who is on an exclusion list is enrolled, and noted (``person_excluded``).
    Raises NotFound and RoleMissing; what is wrong with the file is in the Intake.
    """
    authority.require(user=by, program_id=program_id, roles=(Role.OFFICER,))
    faults = intake.Faults()
    source = csv_source.CsvSource(file, COLUMNS, faults, optional=OPTIONAL)
    with transaction.atomic():
        _stage(program_id, source, faults, progress)
        return load_staged(
            by=by,
            program_id=program_id,
            source=source,
            filename=filename,
            accept_partial=accept_partial,
            faults=faults,
        )


def check_staged(program_id: int, source: intake.Source, faults: intake.Faults) -> None:
    """Note what is wrong with the staged file as a whole, or else with its people, as the registry is now."""
    if not faults.is_whole_file and _is_seen(program_id, source.digest()):
        faults.add_file("", "file_seen_before", "This very file was loaded into the program before.")
    if not faults.is_whole_file:
        registry.check(program_id, faults)


def load_staged(
    *,
    by: User,
    program_id: int,
    source: intake.Source,
    filename: str,
    accept_partial: bool,
    faults: intake.Faults,
) -> Intake:
    """Check the staged people, enroll them, and record what became of the file."""
    check_staged(program_id, source, faults)
    refused = intake.count_bad(registry.STAGE)
    loaded = 0
    if not faults.is_whole_file and (accept_partial or not refused):
        erasures.flag(faults)
        loaded = registry.enroll_staged(program_id, by.pk)
        exclusions.flag(program_id, faults)
    return intake.record(
        by=by,
        program_id=program_id,
        kind=IntakeKind.PEOPLE,
        filename=filename,
        source=source,
        refused=refused,
        loaded=loaded,
        faults=faults,
    )


@transaction.atomic
def enroll(
    *,
    by: User,
    program_id: int,
    reference: str,
    national_id: str,
    full_name: str,
    phone: str,
    address: str,
    consent_version: str = "",
    consent_date: str = "",
) -> Enrollment:
    """Enroll one person by the rules of a file; raise InvalidInput with every rule that is broken."""
    authority.require(user=by, program_id=program_id, roles=(Role.OFFICER,))
    faults = intake.Faults()
    values = (reference, national_id, full_name, phone, address, consent_version, consent_date)
    _require_text(values)
    _stage(program_id, [(0, values)], faults)
    registry.check(program_id, faults)
    if faults.kept:
        raise InvalidInput(faults.kept[0].message, errors=faults.as_errors())
    registry.enroll_staged(program_id, by.pk)
    made = Enrollment.objects.select_related("beneficiary", "program").get(
        program_id=program_id, reference=reference
    )
    audit.record("enrollment.create", made, by=by, scope=made.program.scope)
    return made


@transaction.atomic
def enroll_many(*, by: User, program_id: int, people: Sequence[dict[str, str]]) -> list[tuple[int, str]]:
    """Enroll people, the first of them as row 1, all or nobody; return their enrollments' ids and references, in order.

    As many statements for a thousand as for one. Raises InvalidInput with every rule that is broken, by its row.
    """
    authority.require(user=by, program_id=program_id, roles=(Role.OFFICER,))
    faults = intake.Faults()
    rows = [
        (row, [*(person[name] for name in COLUMNS), *(person.get(name, "") for name in OPTIONAL)])
        for row, person in enumerate(people, start=1)
    ]
    _stage(program_id, rows, faults)
    registry.check(program_id, faults)
    if faults.kept:
        count = len({fault.row for fault in faults.kept})
        raise InvalidInput(
            f"Nobody was enrolled: {count:,} of {len(people):,} rows break a rule.", errors=faults.as_errors()
        )
    registry.enroll_staged(program_id, by.pk)
    program = Program.objects.get(pk=program_id)
    audit.record(
        "enrollment.create_many", program, by=by, scope=program.scope, reason=f"{len(people):,} people"
    )
    made = dict(
        Enrollment.objects.filter(
            program_id=program_id, reference__in=[person["reference"] for person in people]
        ).values_list("reference", "pk")
    )
    return [(made[person["reference"]], person["reference"]) for person in people]


def _require_text(values: tuple[object, ...]) -> None:
    """Refuse what JSON may hold where text belongs: numbers, lists, nothing."""
    errors = [
        {"row": 0, "column": column, "code": f"{column}_malformed", "message": "This must be text."}
        for column, value in zip(COLUMNS + OPTIONAL, values, strict=True)
        if not isinstance(value, str)
    ]
    if errors:
        raise InvalidInput("Every field must be text.", errors=errors)


def _is_seen(program_id: int, sha256: bytes) -> bool:
    return Intake.objects.filter(
        program_id=program_id, kind=IntakeKind.PEOPLE, status=IntakeStatus.LOADED, sha256=sha256
    ).exists()


def _stage(
    program_id: int,
    rows: Iterable[tuple[int, Sequence[str]]],
    faults: intake.Faults,
    progress: intake.Progress | None = None,
) -> None:
    registry.open_stage()
    intake.stage(
        registry.STAGE, registry.STAGE_COLUMNS, person_rows.lines(program_id, rows, faults), progress
    )
    registry.close_stage()
