"""An entry before it is posted, and what can be told of it without the database."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from govpay.errors import GovPayError, SamePersonTwice
from ledger.models import Layer

MOST = 2**63 - 1
SETTLED = Layer.SETTLED.value


class UnbalancedEntry(GovPayError):
    """The lines of a layer and currency do not sum to zero, or one of them is zero, or there are fewer than two."""

    code = "unbalanced_entry"
    http_status = 500


class Line(NamedTuple):
    """A signed amount on an account in a layer, perhaps about one payment; debits are positive."""

    account_code: str
    amount: int
    reference: int | None = None
    layer: str = SETTLED


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
        text = f"{self.kind}|{self.scope}|{self.source_ref}|{self.reversal_of}\n"
        if self.keeps_date:
            text += f"{self.effective_at.astimezone(UTC).isoformat()}\n"
        # Settled lines are written as they were before there were layers, so that old keys are still known.
        lines = [
            f"{code}|{amount}|{reference}\n" if layer == SETTLED else f"{code}|{amount}|{reference}|{layer}\n"
            for code, amount, reference, layer in self.lines
        ]
        return hashlib.sha256((text + "".join(lines)).encode()).digest()

    def check(self) -> None:
        """Raise UnbalancedEntry for what no currencies of the accounts could make right, and SamePersonTwice."""
        if self.approver and self.approver == self.actor:
            raise SamePersonTwice(
                f"{self.idempotency_key}: {self.actor} is its actor; a second person approves it."
            )
        sums: dict[str, int] = {}
        for _, amount, _, layer in self.lines:
            if type(amount) is not int or amount == 0 or not -MOST <= amount <= MOST:
                raise UnbalancedEntry(f"{self.idempotency_key}: an amount is zero, no integer or too large.")
            sums[layer] = sums.get(layer, 0) + amount
        if len(self.lines) < 2 or any(sums.values()):
            raise UnbalancedEntry(
                f"{self.idempotency_key}: the lines sum to {sum(sums.values())}.", lines=len(self.lines)
            )
