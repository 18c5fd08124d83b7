"""An entry before it is posted, and what can be told of it without the database."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from govpay.errors import GovPayError
from ledger.models import Layer

MOST = 2**63 - 1


class UnbalancedEntry(GovPayError):
    """The lines of a layer and currency do not sum to zero, or one of them is zero, or there are fewer than two."""

    code = "unbalanced_entry"
    http_status = 500


class Line(NamedTuple):
    """A signed amount on an account in a layer, perhaps about one payment; debits are positive."""

    account_code: str
    amount: int
    reference: int | None = None
    layer: str = Layer.SETTLED.value


@dataclass(frozen=True, kw_only=True)
class Draft:
    """An entry before it is posted; a list of 500 payments is 500 lines with references.

    An entry whose time lies in a period that is closed counts from the first moment still open, and keeps its own as
    ``original_at``. With ``keeps_date`` somebody chose the date, and the entry is refused where that is sealed.
    """

    kind: str
    scope: str
    idempotency_key: str
    lines: Sequence[Line] = field(repr=False)
    effective_at: datetime
    original_at: datetime | None = None
    keeps_date: bool = False
    memo: str = ""
    source_ref: str = ""
    actor: str
    approver: str = ""
    block_hash: str = ""
    block_height: int | None = None
    reversal_of: int | None = None

    def input_hash(self) -> bytes:
        """Return the SHA-256 of what must be the same when the key is used again.

        Memos and times may differ: who repeats a step later sees another clock. A date that somebody chose may not.
        """
        digest = hashlib.sha256(f"{self.kind}|{self.scope}|{self.source_ref}|{self.reversal_of}\n".encode())
        if self.keeps_date:
            digest.update(f"{self.effective_at.astimezone(UTC).isoformat()}\n".encode())
        # Settled lines are written as they were before there were layers, so that old keys are still known.
        digest.update("".join(f"{c}|{a}|{r}{_named(layer)}\n" for c, a, r, layer in self.lines).encode())
        return digest.digest()

    def check(self) -> None:
        """Raise UnbalancedEntry for what no currencies of the accounts could make right."""
        sums: dict[str, int] = defaultdict(int)
        for line in self.lines:
            if type(line.amount) is not int or line.amount == 0 or abs(line.amount) > MOST:
                raise UnbalancedEntry(f"{self.idempotency_key}: an amount is zero, no integer or too large.")
            sums[line.layer] += line.amount
        if len(self.lines) < 2 or any(sums.values()):
            raise UnbalancedEntry(
                f"{self.idempotency_key}: the lines sum to {sum(sums.values())}.", lines=len(self.lines)
            )


def _named(layer: str) -> str:
    return "" if layer == Layer.SETTLED else f"|{layer}"
