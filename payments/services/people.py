"""Enrolls people in a program, one or a file of them."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from json.encoder import encode_basestring
from typing import BinaryIO

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from govpay.errors import InvalidInput
from ledger import audit
from payments.models import ConsentText, Enrollment, Intake, Program, Role
from payments.models.beneficiary import PERSONAL_CONTEXT
from payments.models.consent import latest_date
from payments.models.encrypted import encryptor
from payments.models.intake import IntakeKind, IntakeStatus
from payments.onchain import address as address_module
from payments.onchain import network
from payments.services import authority, erasures, exclusions, identity, intake, registry

COLUMNS = ("reference", "national_id", "full_name", "phone", "address")
# To which version of the program's text the person agreed, and when: both or neither.
OPTIONAL = ("consent_version", "consent_date")
MAX_NAME = 200
# It starts with a letter or digit, so that no spreadsheet takes it for a formula.
REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,39}")
REFERENCE_RULE = "A reference has 1 to 40 plain letters, digits, dots, slashes, hyphens or underscores."
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PHONE = re.compile(r"\+?[0-9]{7,15}")
_PHONE_PUNCTUATION = str.maketrans("", "", " -.()")


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
    source = intake.CsvSource(file, COLUMNS, faults, optional=OPTIONAL)
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


def stage_lines(
    program_id: int, rows: Iterable[tuple[int, Sequence[str]]], faults: intake.Faults
) -> Iterator[str]:
    """Yield rows as COPY reads them into ``registry.STAGE_COLUMNS``, noting what is wrong with single values."""
    return _Reader(program_id, faults).lines(rows)


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


def read_reference(row: int, text: object, faults: intake.Faults) -> str | None:
    """Return the ministry's own reference for a person, or None after noting what is wrong with it."""
    if isinstance(text, str) and REFERENCE.fullmatch(text):
        return text
    if text is None or text == "":
        faults.add(row, "reference", "reference_missing", "There is no reference.")
    else:
        faults.add(row, "reference", "reference_malformed", REFERENCE_RULE)
    return None


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
    intake.stage(registry.STAGE, registry.STAGE_COLUMNS, stage_lines(program_id, rows, faults), progress)
    registry.close_stage()


class _Reader:
    """Turns rows into lines for COPY, noting what is wrong; a bad row is staged too, to find its duplicates."""

    def __init__(self, program_id: int, faults: intake.Faults) -> None:
        self._faults = faults
        self._add = faults.add
        self._network = network.current()
        self._hash = identity.hasher()
        self._encrypt = encryptor(PERSONAL_CONTEXT)
        texts = ConsentText.objects.filter(program_id=program_id)
        self._texts: dict[str, int] = dict(texts.values_list("version", "pk"))
        self._latest_date = latest_date(timezone.now())

    def lines(self, rows: Iterable[tuple[int, Sequence[str]]]) -> Iterator[str]:
        """Yield ``registry.STAGE_COLUMNS`` in COPY's text format."""
        for row, values in rows:
            if not values:
                yield f"{row}{_NOTHING * 6}\tt\n"
                continue
            reference = read_reference(row, values[0], self._faults)
            identity_hash = self.identity(row, values[1])
            personal = self.personal(row, values[2], values[3])
            # Nothing: the person brings an address later, if the program lets them (registry.check).
            is_later = values[4] == ""
            script = None if is_later else self.script(row, values[4])
            consent = self.consent(row, values[5], values[6]) if values[5] or values[6] else _NO_CONSENT
            if reference and identity_hash and personal and (script or is_later) and consent:
                yield (
                    f"{row}\t{reference}\t\\\\x{identity_hash.hex()}\t\\\\x{personal.hex()}"
                    f"\t{_bytea(script)}{consent}\tf\n"
                )
            else:
                yield (
                    f"{row}\t{reference or _NULL}\t{_bytea(identity_hash)}\t\\N\t{_bytea(script)}"
                    f"{_NO_CONSENT}\tt\n"
                )

    def identity(self, row: int, text: str) -> bytes | None:
        try:
            return self._hash(identity.normalize(text))
        except InvalidInput as error:
            self._add(row, "national_id", error.details["rule"], error.message)
        return None

    def personal(self, row: int, full_name: str, phone: str) -> bytes | None:
        name = full_name.strip()
        number = phone if phone == "" or _PHONE.fullmatch(phone) else self._phone(row, phone)
        if not name:
            self._add(row, "full_name", "full_name_missing", "There is no name.")
        elif len(name) > MAX_NAME:
            self._add(
                row, "full_name", "full_name_too_long", f"The name is longer than {MAX_NAME} characters."
            )
        elif not name.isprintable():
            self._add(row, "full_name", "full_name_malformed", "The name has characters that cannot be seen.")
        elif number is not None:
            json = f'{{"full_name":{encode_basestring(name)},"phone":"{number}"}}'
            return self._encrypt(json.encode())
        return None

    def _phone(self, row: int, phone: str) -> str | None:
        number = phone.translate(_PHONE_PUNCTUATION)
        if _PHONE.fullmatch(number):
            return number
        self._add(
            row, "phone", "phone_malformed", "A phone number has 7 to 15 digits, with or without a plus."
        )
        return None

    def script(self, row: int, text: str) -> bytes | None:
        try:
            return address_module.script_from_address(text, self._network)
        except address_module.InvalidAddress as error:
            self._add(row, "address", error.details["rule"], error.message)
        return None

    def consent(self, row: int, version: str, text: str) -> str | None:
        """Return the text's id and the date as two fields for COPY, or None after noting what is wrong with them."""
        text_id = self._texts.get(version)
        if not version:
            self._add(
                row, "consent_version", "consent_version_missing", "To which version did the person agree?"
            )
        elif text_id is None:
            self._add(
                row, "consent_version", "consent_version_unknown", "The program has no text of this version."
            )
        said = self._date(row, text)
        return f"\t{text_id}\t{said}" if text_id and said else None

    def _date(self, row: int, text: str) -> date | None:
        try:
            found = date.fromisoformat(text) if _DATE.fullmatch(text) else None
        except ValueError:
            found = None
        if not text:
            self._add(row, "consent_date", "consent_date_missing", "When did the person agree?")
        elif found is None:
            self._add(row, "consent_date", "consent_date_malformed", "A date has the form 2026-11-29.")
        elif found > self._latest_date:
            self._add(row, "consent_date", "consent_date_future", "The date is still to come.")
        else:
            return found
        return None


_NULL = "\\N"
_NOTHING = f"\t{_NULL}"
_NO_CONSENT = _NOTHING * 2


def _bytea(value: bytes | None) -> str:
    return _NULL if value is None else f"\\\\x{value.hex()}"
