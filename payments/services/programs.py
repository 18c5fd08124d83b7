"""Creates programs and says who works in them."""

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from govpay.errors import Conflict, Forbidden, InvalidInput
from ledger import chart
from payments import doorbell
from payments.models import Membership, Program, Role, Wallet
from payments.onchain import network


class MembershipExists(Conflict):
    """The user holds the role already."""

    code = "membership_exists"


@transaction.atomic
def create(*, by: User, code: str, name: str, **rules: int) -> Program:
    """Create a program with its accounts and a wallet that the engine will make in the node.

    ``rules`` are the columns of Program that have defaults. Raises Forbidden without the permission
    ``payments.add_program`` and InvalidInput with one error a field.
    """
    if not by.has_perm("payments.add_program"):
        raise Forbidden("Creating a program needs the permission payments.add_program.")
    program = Program(code=code, name=name, network=network.current(), created_by=by, **rules)
    try:
        program.full_clean()
    except ValidationError as error:
        errors = [
            {"row": 0, "column": "" if field == "__all__" else field, "code": "invalid", "message": message}
            for field, messages in error.message_dict.items()
            for message in messages
        ]
        raise InvalidInput(str(errors[0]["message"]), errors=errors) from error
    program.save()
    wallet = Wallet.objects.create(program=program, name=f"govpay-{code.lower()}")
    chart.open_program(program.pk)
    doorbell.ring("provision", wallet_id=wallet.pk)
    return program


@transaction.atomic
def grant(*, by: User, program_id: int, user: User, role: str) -> Membership:
    """Give a user a role in a program; raise Forbidden without ``payments.add_membership``."""
    if not by.has_perm("payments.add_membership"):
        raise Forbidden("Giving a role needs the permission payments.add_membership.")
    membership, is_new = Membership.objects.get_or_create(
        program_id=program_id, user=user, role=Role(role), defaults={"granted_by": by}
    )
    if not is_new:
        raise MembershipExists(f"{user} is {Role(role).label.lower()} of this program already.")
    return membership
