"""What a pack is of: a list, a period or everything, as the newest checkpoint has it."""

import re
from typing import NamedTuple

from govpay.errors import Conflict, InvalidInput
from ledger import selectors
from ledger.exports import Selection
from ledger.models import Checkpoint, PackKind
from ledger.packs import evidence

NUMBER = re.compile("[1-9][0-9]{0,17}")


class NothingSealed(Conflict):
    """There is no checkpoint yet, so that nothing can be proved."""

    code = "nothing_sealed"


class Asked(NamedTuple):
    """What was asked for: ``name`` is a period's name, a list's number, and empty for all; ``scope`` narrows it down."""

    kind: str
    name: str = ""
    scope: str = ""


def resolve(asked: Asked, checkpoint: Checkpoint) -> Selection:
    """Return which entries those are, below a checkpoint.

    Raises NotFound for a period or a list that is not there, and InvalidInput for what cannot be asked.
    """
    size, scope = checkpoint.seal.size, asked.scope or None
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
    if asked.kind == PackKind.DISBURSEMENT and NUMBER.fullmatch(asked.name) and not scope:
        return Selection(source_refs=evidence.backend().sources(int(asked.name)), sealed_size=size)
    raise InvalidInput(
        "A pack is of all, of a period by its name, or of a list by its number.",
        errors=[{"column": "name", "code": "invalid", "message": "This is no name of what was asked for."}],
    )
