"""The rules of a program: checked when it is made, changed by two security administrators afterwards."""

from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import Model

from govpay.errors import InvalidInput
from ledger import audit
from payments.models import Program, Proposal, Wallet
from payments.models.program import RULES
from payments.services.change import Kind, program_of


def check(row: Model, *, exclude: tuple[str, ...] = ()) -> None:
    """Raise InvalidInput with one error a field of a row that breaks a rule about rules."""
    try:
        row.full_clean(exclude=exclude)
    except ValidationError as error:
        errors = [
            {"row": 0, "column": "" if field == "__all__" else field, "code": "invalid", "message": message}
            for field, messages in error.message_dict.items()
            for message in messages
        ]
        raise InvalidInput(str(errors[0]["message"]), errors=errors) from error


def differing(program_id: int, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the rules that the program does not have yet; raise InvalidInput for what is no rule, or if there are none."""
    program = Program.objects.get(pk=program_id)
    for name in asked:
        if name not in RULES:
            raise InvalidInput.of(name, "unknown_rule", "This is no rule of a program.")
    found = {name: value for name, value in asked.items() if getattr(program, name) != value}
    if not found:
        raise InvalidInput.of("", "nothing_changes", "The program has these rules already.")
    return found


def _current(proposal: Proposal) -> dict[str, Any]:
    # The wallet's lock guards every cap on fees.
    Wallet.objects.lock().get(program_id=program_of(proposal))
    program = Program.objects.select_for_update(no_key=True).get(pk=program_of(proposal))
    return {name: getattr(program, name) for name in RULES if name in proposal.asked}


def _change(proposal: Proposal, before: dict[str, Any]) -> dict[str, Any]:
    program = Program.objects.get(pk=program_of(proposal))
    for name in before:
        setattr(program, name, proposal.asked[name])
    check(program)
    return {name: getattr(program, name) for name in before}


def _apply(proposal: Proposal, by: User) -> None:
    program = Program.objects.get(pk=program_of(proposal))
    was = audit.digest(program)
    Program.objects.filter(pk=program.pk).update(**proposal.after)
    audit.record("program.change_rules", program, by=by, scope=program.scope, before=was)


KIND = Kind("rules", "Change of rules", _current, _change, _apply)
