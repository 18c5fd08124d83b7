"""What a pack is of: a list, a period or everything, as the newest checkpoint has it."""

import re
from typing import NamedTuple

from govpay.errors import Conflict, InvalidInput, NotFound
from ledger import selectors
from ledger.exports import Selection
from ledger.models import Account, Checkpoint, Entry, PackKind
from ledger.packs import evidence

NUMBER = re.compile("[1-9][0-9]{0,17}")


class NothingSealed(Conflict):
    """There is no checkpoint yet, or none that covers anything of a list, so that nothing can be proved."""

    code = "nothing_sealed"


class Asked(NamedTuple):
    """What was asked for: ``name`` is a period's name, a list's number, and empty for all; ``scope`` narrows it down."""

    kind: str
    name: str = ""
    scope: str = ""


def resolve(asked: Asked, checkpoint: Checkpoint) -> Selection:
    """Return which entries those are, below a checkpoint.

    Raises NotFound for a period, a list or a scope that is not there, InvalidInput for what cannot be asked, and
    NothingSealed for a list of which the checkpoint has nothing.
    """
    size, scope = checkpoint.seal.size, asked.scope or None
    if scope is not None and not Account.objects.filter(scope=scope).exists():
        raise NotFound(
            f"No account has the scope {scope!r}; it is empty, or one such as program:1.", scope=scope
        )
    if asked.kind == PackKind.ALL and not asked.name:
        return Selection(scope=scope, sealed_size=size)
    if asked.kind == PackKind.PERIOD and asked.name:
        period = selectors.get_period(asked.name)
        return Selection(
            scope=scope,
            effective_from=period.starts_at,
            effective_before=period.ends_at,
            sealed_size=size,
        )
    if asked.kind == PackKind.DISBURSEMENT and NUMBER.fullmatch(asked.name):
        if scope is not None:
            raise _refused("scope", "A list is of one program: its pack takes no scope.")
        sources = evidence.backend().sources(int(asked.name))
        if not Entry.objects.filter(source_ref__in=sources, leaf__index__lt=size).exists():
            raise NothingSealed(f"No checkpoint covers anything that was booked for list {asked.name} yet.")
        return Selection(source_refs=sources, sealed_size=size)
    raise _refused("name", "A pack is of all, of a period by its name, or of a list by its number.")


def _refused(column: str, message: str) -> InvalidInput:
    return InvalidInput(message, errors=[{"column": column, "code": "invalid", "message": message}])
