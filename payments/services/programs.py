"""Creates programs."""

import re

from django.contrib.auth.models import User
from django.db import connection, transaction

from govpay.errors import Forbidden, InvalidInput
from ledger import audit, chart
from ledger.models import Elements
from ledger.models.account import ELEMENT
from payments import doorbell
from payments.models import Program, Signer, Wallet
from payments.models.program import SAT
from payments.onchain import descriptor as descriptors
from payments.onchain import network
from payments.payout import guard
from payments.prices import currency as currencies
from payments.services import rules as rule_book

DESCRIPTOR_LOCK = 0x676F7680


@transaction.atomic
def create(
    *,
    by: User,
    code: str,
    name: str,
    descriptor: str = "",
    currency: str = SAT,
    entity: str = "",
    function: str = "",
    fund: str = "",
    project: str = "",
    **rules: int | str,
) -> Program:
    """Create a program with its accounts and a wallet that the engine will make in the node.

    Its people are entitled to satoshis, or to money of ``currency`` (ISO 4217), which is converted when lists are released.
    With a ``descriptor`` (descriptors.parse) the wallet only watches, and signers elsewhere sign; without one the node's
    wallet holds the keys, which is for regtest alone. Every line of the program's accounts is classified by ``entity``,
    ``function``, ``fund`` and ``project`` (the program's code unless it says), fixed from then on. ``rules`` are the columns
    of Program that have defaults. Raises Forbidden without the permission ``payments.add_program`` and InvalidInput with one
    error a field.
    """
    if not by.has_perm("payments.add_program"):
        raise Forbidden("Creating a program needs the permission payments.add_program.")
    watched = _watched(descriptor)
    money = None if currency == SAT else chart.Money(currency, currencies.scale(currency))
    program = Program(
        code=code, name=name, currency=currency, network=network.current(), created_by=by, **rules
    )
    rule_book.check(program)
    elements = Elements(entity=entity, function=function, fund=fund, project=project or code)
    _check_elements(elements)
    program.save()
    wallet = Wallet.objects.create(
        program=program,
        name=f"govpay-{code.lower()}",
        signer=Signer.PSBT if watched else Signer.NODE,
        descriptor=str(watched or ""),
    )
    chart.open_program(program.pk, elements, money)
    audit.record("program.create", program, by=by, scope=program.scope)
    doorbell.ring("provision", wallet_id=wallet.pk)
    return program


@transaction.atomic
def classify(program: Program, *, entity: str, function: str, fund: str, project: str) -> int:
    """Classify the accounts of a program from before there were elements; return how many those were.

    Raises InvalidInput as `create` does, and chart.ProgramClassified; only the owner of the tables may.
    """
    elements = Elements(entity=entity, function=function, fund=fund, project=project or program.code)
    _check_elements(elements)
    was = audit.digest(program)
    count = chart.classify_program(program.pk, elements)
    audit.record("program.classify", program, scope=program.scope, before=was)
    return count


def _check_elements(elements: Elements) -> None:
    for column, value in elements._asdict().items():
        if not re.fullmatch(ELEMENT, value):
            message = "Use up to 30 capitals, digits, dots and hyphens, as 10.71 or A05270."
            raise InvalidInput.of(column, "invalid", message)


def _watched(text: str) -> descriptors.Descriptor | None:
    """Return what a new wallet is to watch; raise InvalidInput for what govpay cannot pay from, or pays from already."""
    if not text:
        try:
            guard.require_node_may_sign()
        except guard.NodeMayNotSign as error:
            raise InvalidInput.of("descriptor", error.code, error.message) from error
        return None
    try:
        found = descriptors.parse(text)
    except descriptors.InvalidDescriptor as error:
        raise InvalidInput.of("descriptor", f"descriptor_{error.details['rule']}", error.message) from error
    # One at a time: the next one sees what this one made.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [DESCRIPTOR_LOCK])
    if 2 * found.needed <= len(found.keys):
        # No signer of ours signs in such a wallet either.
        message = (
            f"{found.needed} of {len(found.keys)} keys sign: two groups of signers who share nobody could pay the same "
            "people. More than half of the keys must be needed."
        )
        raise InvalidInput.of("descriptor", "descriptor_overlap", message)
    first = found.script_pubkey(descriptors.RECEIVE, 0)
    for other in Wallet.objects.filter(signer=Signer.PSBT).values_list("descriptor", flat=True):
        # Compared by script: the same keys in another order are the same wallet.
        if descriptors.parse(other).script_pubkey(descriptors.RECEIVE, 0) == first:
            message = "Another program pays from this descriptor already; each needs keys of its own."
            raise InvalidInput.of("descriptor", "descriptor_in_use", message)
    return found
