"""Reads rows of people: each value by its rule, noting what is wrong, into lines for the staging table."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from json.encoder import encode_basestring

from django.utils import timezone

from govpay.errors import InvalidInput
from payments.models import ConsentText
from payments.models.beneficiary import PERSONAL_CONTEXT
from payments.models.consent import latest_date
from payments.models.encrypted import encryptor
from payments.onchain import address as address_module
from payments.onchain import network
from payments.services import identity, intake

MAX_NAME = 200
# It starts with a letter or digit, so that no spreadsheet takes it for a formula.
REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,39}")
REFERENCE_RULE = "A reference has 1 to 40 plain letters, digits, dots, slashes, hyphens or underscores."
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PHONE = re.compile(r"\+?[0-9]{7,15}")
_PHONE_PUNCTUATION = str.maketrans("", "", " -.()")


def lines(program_id: int, rows: Iterable[tuple[int, Sequence[str]]], faults: intake.Faults) -> Iterator[str]:
    """Yield rows as COPY reads them into ``registry.STAGE_COLUMNS``, noting what is wrong with single values."""
    return _Reader(program_id, faults).lines(rows)


def read_reference(row: int, text: object, faults: intake.Faults) -> str | None:
    """Return the ministry's own reference for a person, or None after noting what is wrong with it."""
    if isinstance(text, str) and REFERENCE.fullmatch(text):
        return text
    if text is None or text == "":
        faults.add(row, "reference", "reference_missing", "There is no reference.")
    else:
        faults.add(row, "reference", "reference_malformed", REFERENCE_RULE)
    return None


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
