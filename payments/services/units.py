"""Takes amounts in the unit of their program: satoshis, or minor units of its currency."""

from collections.abc import Mapping
from typing import Any

from govpay.errors import InvalidInput
from payments.models import Program


def own(program: Program, name: str, *, sat: int | None, minor: int | None) -> int:
    """Return what somebody gave in the program's own unit; raise InvalidInput for the other one, or where nothing is."""
    given = {"sat": sat, "minor": minor}
    found = given.pop(program.unit)
    ((other, strange),) = given.items()
    if strange is not None:
        message = f"Amounts of {program.code} are in {program.unit_words}: give {name}_{program.unit}."
        raise InvalidInput.of(f"{name}_{other}", "other_currency", message)
    if found is None:
        raise InvalidInput.of(f"{name}_{program.unit}", "required", f"Give it in {program.unit_words}.")
    return found


def own_of(program: Program, name: str, given: Mapping[str, Any], row: int) -> dict[str, Any]:
    """Return one of several objects that somebody gave with its amount under ``{name}_sat``, whatever unit that is.

    The amount may be null, and only the key of the program's own unit may be there. Raises InvalidInput with the row.
    """
    key, other = f"{name}_{program.unit}", f"{name}_{'minor' if program.pays_sat else 'sat'}"
    if other in given:
        message = f"Amounts of {program.code} are in {program.unit_words}: give {key}."
        raise _of_row(row, other, "other_currency", message)
    if key not in given:
        raise _of_row(row, key, "required", f"Give it in {program.unit_words}.")
    return {**{k: v for k, v in given.items() if k != key}, f"{name}_sat": given[key]}


def _of_row(row: int, column: str, code: str, message: str) -> InvalidInput:
    return InvalidInput(message, errors=[{"row": row, "column": column, "code": code, "message": message}])
