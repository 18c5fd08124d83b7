"""Makes exclusion lists and loads who is on them, by hash; the ids themselves are read and forgotten."""

import datetime
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from govpay.errors import Conflict, Forbidden, InvalidInput, NotFound
from ledger import audit
from payments.models import ExclusionList, Role
from payments.services import authority, csv_source, identity, intake

COLUMNS = ("national_id",)
STAGE = "staged_exclusion"
MAX_NAME, MAX_TEXT = 100, 300
# Of lists that hold for every program.
PERMISSION = "payments.add_exclusionlist"


class ExclusionListExists(Conflict):
    """There is a list of this name already."""

    code = "exclusion_list_exists"


class ExclusionListEnded(Conflict):
    """The list is not valid any more, and takes nobody."""

    code = "exclusion_list_ended"


class Loaded(NamedTuple):
    """What became of a file of ids: rows read, entries that are new; the others were on the list before."""

    rows: int
    added: int


@transaction.atomic
def create(
    *,
    by: User,
    program_id: int | None,
    name: str,
    reason: str,
    source: str,
    valid_from: datetime.date,
    valid_to: datetime.date | None = None,
) -> ExclusionList:
    """Make an empty list of a program, or of the installation, which needs the permission PERMISSION.

    Raises NotFound, RoleMissing, Forbidden, ExclusionListExists and InvalidInput with one error a field.
    """
    _authorize(by, program_id)
    errors = [
        {"row": 0, "column": column, "code": "missing", "message": "Say what it is."}
        for column, text in (("name", name), ("reason", reason), ("source", source))
        if not text.strip()
    ]
    if valid_to is not None and valid_to < valid_from:
        message = "The last day lies before the first."
        errors.append({"row": 0, "column": "valid_to", "code": "dates_reversed", "message": message})
    if errors:
        raise InvalidInput(str(errors[0]["message"]), errors=errors)
    try:
        with transaction.atomic():
            made = ExclusionList.objects.create(
                program_id=program_id,
                name=name.strip(),
                reason=reason,
                source=source,
                valid_from=valid_from,
                valid_to=valid_to,
                created_by=by,
            )
            audit.record("exclusion_list.create", made, by=by, scope=_scope(made))
            return made
    except IntegrityError as error:
        raise ExclusionListExists(f"There is a list {name.strip()!r} already.") from error


@transaction.atomic
def load(*, by: User, exclusion_list_id: int, file: BinaryIO) -> Loaded:
    """Put the people of a UTF-8 CSV file with the column national_id on a list: all of them, or nobody.

    Who is on it already stays as they are, lifted or not. Raises InvalidInput with every bad row, which does not repeat
    an id, NotFound, RoleMissing, Forbidden and ExclusionListEnded.
    """
    found = get(by, exclusion_list_id)
    _authorize(by, found.program_id)
    if found.valid_to is not None and found.valid_to < timezone.now().date():
        raise ExclusionListEnded("The list is not valid any more; make another one.")
    faults = intake.Faults()
    source = csv_source.CsvSource(file, COLUMNS, faults)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS pg_temp.{STAGE}")
        cursor.execute(f"CREATE TEMP TABLE {STAGE} (row int NOT NULL, identity_hash bytea) ON COMMIT DROP")
        intake.stage(STAGE, "row, identity_hash", _lines(source, faults))
        if faults.kept:
            raise InvalidInput(
                f"Wrong rows: {len(faults.kept)} or more. Nobody was put on the list.",
                errors=faults.as_errors()[:100],
            )
        cursor.execute(
            "INSERT INTO payments_exclusion (exclusion_list_id, identity_hash, created_by_id, created_at)"  # noqa: S608
            f" SELECT %s, identity_hash, %s, %s FROM {STAGE} GROUP BY identity_hash ORDER BY min(row)"
            " ON CONFLICT DO NOTHING",
            [found.pk, by.pk, timezone.now()],
        )
        loaded = Loaded(source.row_count, cursor.rowcount)
    audit.record("exclusion_list.load", found, by=by, scope=_scope(found))
    return loaded


@transaction.atomic
def end(*, by: User, exclusion_list_id: int, note: str) -> ExclusionList:
    """End a list yesterday: it holds nobody any more. The reason is added to it."""
    found = ExclusionList.objects.select_for_update().get(pk=get(by, exclusion_list_id).pk)
    _authorize(by, found.program_id)
    if not note.strip():
        raise InvalidInput.of("note", "missing", "Say why.")
    yesterday = timezone.now().date() - datetime.timedelta(days=1)
    if found.valid_to is not None and found.valid_to <= yesterday:
        raise ExclusionListEnded("The list is not valid any more.")
    was = audit.digest(found)
    found.valid_from = min(found.valid_from, yesterday)
    found.valid_to = yesterday
    found.reason = f"{found.reason} Ended: {note}"[:MAX_TEXT]
    found.save()
    audit.record("exclusion_list.end", found, by=by, scope=_scope(found), reason=note, before=was)
    return found


def flag(program_id: int, faults: intake.Faults) -> None:
    """Note which people of the staging table that were just enrolled are on a list: they wait, and may appeal."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.row, x.name FROM staged_person s JOIN payments_exclusion e"
            " ON e.identity_hash = s.identity_hash AND e.lifted_at IS NULL"
            " JOIN payments_exclusionlist x ON x.id = e.exclusion_list_id"
            " WHERE NOT s.is_bad AND (x.program_id IS NULL OR x.program_id = %s)"
            " AND %s BETWEEN x.valid_from AND coalesce(x.valid_to, 'infinity') ORDER BY s.row, x.id LIMIT %s",
            [program_id, timezone.now().date(), faults.room],
        )
        for row, name in cursor.fetchall():
            faults.add(
                row,
                "national_id",
                "person_excluded",
                f"The person is enrolled, and on the list {name}: payments are held, and an appeal may be lodged.",
            )


def get(by: User, exclusion_list_id: int) -> ExclusionList:
    """Return a list of the user's programs, or of the installation for who may keep those; raise NotFound otherwise."""
    rows = ExclusionList.objects.filter(pk=exclusion_list_id)
    found = rows.filter(program__memberships__user_id=by.pk).first()
    if found is None and by.has_perm(PERMISSION):
        found = rows.filter(program=None).first()
    if found is None:
        raise NotFound("There is no such exclusion list in your programs.")
    return found


def _scope(found: ExclusionList) -> str:
    return found.program.scope if found.program is not None else ""


def _authorize(by: User, program_id: int | None) -> None:
    if program_id is not None:
        authority.require(user=by, program_id=program_id, roles=(Role.OFFICER,))
    elif not by.has_perm(PERMISSION):
        raise Forbidden(f"A list of all programs needs the permission {PERMISSION}.")


def _lines(source: csv_source.CsvSource, faults: intake.Faults) -> Iterator[str]:
    hash_of = identity.hasher()
    for row, values in source:
        hashed = _hash(row, values, hash_of, faults)
        yield f"{row}\t\\\\x{hashed.hex()}\n" if hashed else f"{row}\t\\N\n"


def _hash(row: int, values: Sequence[str], hash_of: identity.Hash, faults: intake.Faults) -> bytes | None:
    if values:
        try:
            return hash_of(identity.normalize(values[0]))
        except InvalidInput as error:
            faults.add(row, "national_id", error.details["rule"], error.message)
    return None
