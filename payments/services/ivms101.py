"""Writes who pays whom in the words of IVMS101, the interVASP data model (issue 1, 2020), as JSON.

Names of elements are those of the standard in lower camel case. What it does not speak of, the transfer itself, stands
beside it. A name is given as it was enrolled: nothing is transliterated.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

LEGAL_NAME = "LEGL"
MOST_OF_A_NAME = 100
_LEI = re.compile(r"[A-Z0-9]{18}[0-9]{2}")


def is_lei(text: str) -> bool:
    """Say whether a text is a legal entity identifier with right check digits (ISO 17442, MOD 97-10)."""
    return _LEI.fullmatch(text) is not None and int("".join(str(int(c, 36)) for c in text)) % 97 == 1


def legal_person(
    *, name: str, country: str = "", lei: str = "", address_line: str = "", town: str = ""
) -> dict[str, Any]:
    """Return an institution as a Person, with its identifier, its address, or both."""
    person: dict[str, Any] = {
        "name": {"nameIdentifier": [{"legalPersonName": name, "legalPersonNameIdentifierType": LEGAL_NAME}]}
    }
    if address_line:
        person["geographicAddress"] = [
            {"addressType": "BIZZ", "addressLine": [address_line], "townName": town, "country": country}
        ]
    if lei:
        person["nationalIdentification"] = {"nationalIdentifier": lei, "nationalIdentifierType": "LEIX"}
    if country:
        person["countryOfRegistration"] = country
    return {"legalPerson": person}


def natural_person(name: str) -> dict[str, Any]:
    """Return a person as a Person; a name that nobody has split stands in its primary part, what is too long in the next."""
    identifier = {"primaryIdentifier": name[:MOST_OF_A_NAME], "nameIdentifierType": LEGAL_NAME}
    if len(name) > MOST_OF_A_NAME:
        identifier["secondaryIdentifier"] = name[MOST_OF_A_NAME:]
    return {"naturalPerson": {"name": {"nameIdentifier": [identifier]}}}


def text(
    *,
    originator: dict[str, Any],
    account: str,
    name: str,
    address: str,
    vasp: str,
    transfer: Mapping[str, Any],
) -> str:
    """Return the payload of one transfer: both parties, and ``transfer`` beside them; the same facts make the same text.

    ``originator`` is a Person that pays from the wallet ``account`` of its own; ``vasp`` names the institution at whose
    ``address`` the person is paid, empty where that is their own.
    """
    parties: dict[str, Any] = {
        "originator": {"originatorPersons": [originator], "accountNumber": [account]},
        "beneficiary": {"beneficiaryPersons": [natural_person(name)], "accountNumber": [address]},
        "originatingVASP": {"originatingVASP": originator},
    }
    if vasp:
        parties["beneficiaryVASP"] = {"beneficiaryVASP": legal_person(name=vasp)}
    whole = {"ivms101": parties, "transfer": dict(transfer)}
    return json.dumps(whole, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def moment(at: datetime) -> str:
    """Write a time as payloads do."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
