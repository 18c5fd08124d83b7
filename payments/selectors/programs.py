"""Reads programs, who works in them, and their wallets."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet

from govpay.errors import InvalidInput
from payments.models import Membership, Program, ScriptPurpose, Wallet
from payments.models.program import LIMITED
from payments.onchain import address, network
from payments.selectors import node, scope


@dataclass(frozen=True)
class FundingWallet:
    """Where a program is funded; ``address`` and the others are empty, and ``reason`` not, until it is ready."""

    is_ready: bool
    network: str
    name: str
    signer: str
    descriptor: str
    funding_address: str | None
    ready_at: datetime | None
    reason: str


def visible(user: Any) -> QuerySet[Program]:
    """Return the programs the user belongs to; an administrator knows of every one."""
    rows = Program.objects.select_related("created_by")
    return rows if scope.is_administrator(user) else rows.filter(pk__in=scope.programs(user, *LIMITED))


def roles_of(user: Any) -> list[dict[str, Any]]:
    """Return ``program_id``, ``program_code`` and ``roles`` for each program of the user, by code."""
    found: dict[int, dict[str, Any]] = {}
    rows = Membership.objects.filter(user_id=user.pk).order_by("program__code", "role")
    for program_id, code, role in rows.values_list("program_id", "program__code", "role"):
        entry = found.setdefault(program_id, {"program_id": program_id, "program_code": code, "roles": []})
        entry["roles"].append(role)
    return list(found.values())


def has_role(user: Any, program_id: int, *roles: str) -> bool:
    """Say whether the user holds one of the roles in the program."""
    return Membership.objects.filter(user_id=user.pk, program_id=program_id, role__in=roles).exists()


def members(program_id: int) -> QuerySet[Membership]:
    """Return who holds which role in the program."""
    return Membership.objects.filter(program_id=program_id).select_related("user", "granted_by")


def get_active_user(username: str) -> User:
    """Return the active user with the name; raise InvalidInput (``user_unknown``)."""
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        message = "There is no active user with this name."
        errors = [{"row": 0, "column": "username", "code": "user_unknown", "message": message}]
        raise InvalidInput(message, errors=errors)
    return user


def funding_wallet(program_id: int) -> FundingWallet:
    """Return where to fund the program, or why that is not known yet."""
    wallet = Wallet.objects.get(program_id=program_id)
    script = wallet.scripts.filter(purpose=ScriptPurpose.FUNDING).order_by("id").first()
    is_ready = wallet.ready_at is not None and script is not None
    funding_address = None
    if is_ready and script is not None:
        funding_address = address.address_from_script(bytes(script.script_pubkey), network.current())
    return FundingWallet(
        is_ready=is_ready,
        network=network.current().value,
        name=wallet.name,
        signer=wallet.signer,
        descriptor=wallet.descriptor,
        funding_address=funding_address,
        ready_at=wallet.ready_at,
        reason="" if is_ready else _why_not_ready(),
    )


def _why_not_ready() -> str:
    seen = node.last_look()
    if seen.is_ok:
        return "The engine has not made the wallet yet; it does so within seconds."
    return f"The wallet is made as soon as the node answers: {seen.message}"
