"""Builders of the files that officers bring."""

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence

from payments.models import Beneficiary, Destination, Disbursement, Enrollment, Intake, Payment
from payments.onchain import address
from payments.onchain.network import Network
from payments.services import lists, people


def make_csv(header: Sequence[str], rows: Iterable[Sequence[str]], line_end: str = "\n") -> bytes:
    """A UTF-8 file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=line_end)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def make_address(number: int) -> str:
    """A regtest address that nobody else has."""
    key_hash = hashlib.sha256(f"address {number}".encode()).digest()[:20]
    return address.address_from_script(b"\x00\x14" + key_hash, Network.REGTEST)


def make_person(number: int, **changes: str) -> dict[str, str]:
    """A good row, but for the changes."""
    return {
        "reference": f"PEN-{number:06}",
        "national_id": f"99123-{number:07}-1",
        "full_name": f"عائشہ Muñoz {number}",
        "phone": f"+92300{number:07}",
        "address": make_address(number),
    } | changes


def people_csv(*persons: dict[str, str], optional: Sequence[str] = ()) -> bytes:
    """A file of people, with these of the columns that a file may lack."""
    columns = (*people.COLUMNS, *optional)
    return make_csv(columns, ([person.get(column, "") for column in columns] for person in persons))


def list_csv(*rows: tuple[str, str]) -> bytes:
    """A file of references and amounts."""
    return make_csv(lists.COLUMNS, rows)


def faults_of(intake: Intake) -> list[tuple[int, str, str]]:
    """Row, column and code of everything that was wrong."""
    return list(intake.errors.values_list("row", "column", "code"))


def count_registry() -> tuple[int, int, int]:
    """How many people, enrollments and destinations there are."""
    return Beneficiary.objects.count(), Enrollment.objects.count(), Destination.objects.count()


def count_payments() -> tuple[int, int]:
    """How many disbursements and payments there are."""
    return Disbursement.objects.count(), Payment.objects.count()
