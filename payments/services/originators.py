"""The kind of proposals about who pays, as the travel rule wants it known: two security administrators for each."""

import re
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from govpay.errors import InvalidInput
from ledger import audit
from payments.models import Originator, Program, Proposal
from payments.services import ivms101, rules
from payments.services.change import Kind, program_of

OF_ORIGINATOR = ("legal_name", "lei", "address_line", "town", "country")
COUNTRY = re.compile("[A-Z]{2}")


def of_program(program_id: int) -> Originator | None:
    """Return who pays in a program; None where nobody has said so yet."""
    return Originator.objects.filter(program_id=program_id, ended_at=None).first()


def _current(proposal: Proposal) -> dict[str, Any]:
    # There is not always a row to lock: whoever proposes or confirms one waits at the program's.
    Program.objects.select_for_update(no_key=True).get(pk=program_of(proposal))
    found = of_program(program_of(proposal))
    return {name: getattr(found, name, None) for name in OF_ORIGINATOR}


def _change(proposal: Proposal, before: dict[str, Any]) -> dict[str, Any]:
    after = {name: str(proposal.asked.get(name, "")).strip() for name in OF_ORIGINATOR}
    after["lei"] = after["lei"].upper()
    if not after["legal_name"]:
        raise InvalidInput.of("legal_name", "missing", "Give the institution's legal name.")
    for name, value in after.items():
        if not value.isprintable():
            raise InvalidInput.of(name, "malformed", "This has characters that cannot be seen.")
    if not COUNTRY.fullmatch(after["country"]):
        raise InvalidInput.of("country", "country_malformed", "A country has two capitals (ISO 3166-1).")
    if after["lei"] and not ivms101.is_lei(after["lei"]):
        raise InvalidInput.of("lei", "lei_malformed", "This is no legal entity identifier (ISO 17442).")
    if bool(after["address_line"]) != bool(after["town"]):
        raise InvalidInput.of("town", "address_half", "An address needs its town, and a town its address.")
    if after == before:
        raise InvalidInput.of("", "nothing_changes", "This is what is known of the institution already.")
    rules.check(Originator(program_id=program_of(proposal), **after), exclude=("proposal", "ended_at"))
    return after


def _apply(proposal: Proposal, by: User) -> None:
    program = Program.objects.get(pk=program_of(proposal))
    Originator.objects.filter(program=program, ended_at=None).update(ended_at=timezone.now())
    made = Originator.objects.create(program=program, **proposal.after, proposal=proposal)
    audit.record("originator.set", made, by=by, scope=program.scope, reason=proposal.note)


KIND = Kind("originator", "Who pays, for the travel rule", _current, _change, _apply)
