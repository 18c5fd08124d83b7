"""In which column of a file each field is: guessed from the header, said by a person, checked, and known again.

What is said is kept as places, from 1, and the header as a MAC: of a file that has none the first row would be a person.
"""

import hmac
import json
from collections.abc import Mapping, Sequence

from django.conf import settings

from govpay.errors import InvalidInput
from payments.models import ImportJob
from payments.services.csv_source import MAX_COLUMNS

Places = dict[str, int]
Wrong = list[tuple[str, str, str]]

# What ministries call the fields; case, spaces, underscores and other signs do not count.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "reference": (
        *("ref", "ref no", "reference no", "reference number", "registration no", "registration number"),
        *("beneficiary id", "beneficiary no", "person id", "pension no", "ppo no", "case no", "referencia"),
    ),
    "national_id": (
        *("cnic", "cnic no", "cnic number", "nic", "nid", "dui", "id no", "id number", "id card no"),
        *("identity no", "identity number", "national id no", "national id number", "national identity no"),
        *("national identity number", "identity card", "identity card no", "documento"),
    ),
    "full_name": ("name", "person", "person name", "beneficiary", "beneficiary name", "payee", "nombre"),
    "phone": (
        *("mobile", "mobile no", "mobile number", "cell", "cell no", "tel", "telephone", "phone no"),
        *("phone number", "telephone no", "telephone number", "contact", "contact no", "teléfono"),
    ),
    "address": (
        *("bitcoin address", "btc address", "bitcoin", "wallet address", "wallet", "payout address"),
        *("destination", "dirección bitcoin"),
    ),
    "consent_version": ("consent", "consent text", "version of consent", "agreed to"),
    "consent_date": ("date of consent", "consented on", "agreed on"),
    "amount_sat": ("sat", "sats", "satoshi", "satoshis", "amount in sat", "amount in satoshis", "amount"),
    "amount_minor": ("minor units", "amount in minor units", "paisa", "cents", "centavos", "amount"),
}


class ColumnsRefused(InvalidInput):
    """What was said of a file's columns does not fit the file or its fields; ``errors`` names each field."""

    code = "columns_refused"


def is_plain(header: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> bool:
    """Say whether a header has the fields' own names, each once and none that is unknown."""
    there = set(header)
    return len(there) == len(header) and there.issuperset(required) and there.issubset({*required, *optional})


def can_be_said(header: Sequence[str]) -> bool:
    """Say whether there is a header whose columns can be told apart; of other files the worker says what is wrong."""
    return 0 < len(header) <= MAX_COLUMNS


def guess(header: Sequence[str], fields: Sequence[str]) -> Places:
    """Return where the fields seem to be: by their own names first, then by what others call them."""
    keys = [_key(name) for name in header]
    found: Places = {}
    names = [(field, field) for field in fields]
    names += [(field, name) for field in fields for name in SYNONYMS.get(field, ())]
    for field, name in names:
        place = keys.index(_key(name)) + 1 if _key(name) in keys else 0
        if place and field not in found and place not in found.values():
            found[field] = place
    return found


def remembered(program_id: int, kind: str, header: Sequence[str]) -> Places | None:
    """Return what was said last of a file of the program with this very header, if anything was."""
    said = ImportJob.objects.filter(program_id=program_id, kind=kind, header_mac=mac(header))
    return said.order_by("-pk").values_list("columns", flat=True).first()


def places(names: Mapping[str, str], header: Sequence[str]) -> Places:
    """Return the places of columns that are given by their names in the header; raise ColumnsRefused."""
    wrong = []
    for field, name in names.items():
        if name not in header:
            wrong.append((field, "column_unknown", "The file has no column of this name."))
        elif header.count(name) > 1:
            wrong.append((field, "column_repeated", "The file has several columns of this name."))
    _refuse_if(wrong)
    return {field: header.index(name) + 1 for field, name in names.items()}


def require(said: Mapping[str, int], width: int, required: Sequence[str], optional: Sequence[str]) -> None:
    """Raise ColumnsRefused unless every field that must be there has a column of its own."""
    _refuse_if(wrong(said, width, required, optional))


def wrong(said: Mapping[str, int], width: int, required: Sequence[str], optional: Sequence[str]) -> Wrong:
    """Return field, code and message of everything that is wrong with places of a file of so many columns."""
    found: Wrong = []
    fields = (*required, *optional)
    for field, place in said.items():
        others = [other for other, taken in said.items() if taken == place and other != field]
        if field not in fields:
            message = f"The fields are {', '.join(fields)}; this is none."
            found.append((field[:40], "field_unknown", message))
        elif not 1 <= place <= width:
            found.append((field, "column_unknown", f"The file has {width} columns; this is none."))
        elif others:
            message = (
                f"One column cannot hold two fields: {' and '.join(others)[:80]} is said to be there too."
            )
            found.append((field, "column_shared", message))
    found += [
        (field, "column_missing", "The field must be there: say which column holds it.")
        for field in required
        if field not in said
    ]
    return found


def mac(header: Sequence[str]) -> bytes:
    """Return the keyed hash by which a header is known again."""
    return hmac.digest(
        settings.GOVPAY_IDENTITY_KEY, f"import-header\n{json.dumps(header)}".encode(), "sha256"
    )


def _key(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def _refuse_if(found: Wrong) -> None:
    if found:
        raise ColumnsRefused.of_each(found)
