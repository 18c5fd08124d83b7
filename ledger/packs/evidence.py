"""What a pack must be told of lists and blocks, and by whom: the backend that ``settings.LEDGER_PACK_EVIDENCE`` names."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol, cast

from django.conf import settings
from django.db.models.expressions import RawSQL
from django.utils.module_loading import import_string

from ledger.models import Checkpoint


class Anchor(NamedTuple):
    """Where the checkpoint over ``size`` leaves lies in the chain: its ``.ots`` proof, and what is beside it, as JSON."""

    size: int
    ots: bytes
    beside: dict[str, Any]


class Place(NamedTuple):
    """Where a checkpoint's hash lies in the chain: the payout whose tx has it, and its final block."""

    payout_id: int
    txid: str
    block_height: int
    block_hash: str


class Output(NamedTuple):
    """Where a payment lies in the chain.

    ``tx`` are the bytes without witnesses, ``branch`` the Merkle branch (33 bytes a step, whether it is left, and its hash),
    ``headers`` the block's and those that follow it, 80 bytes each. ``entitlement`` is what a payment of money stands for,
    as JSON: the amount, the quote, and what was left over.
    """

    payout_id: int
    amount_sat: int
    script_pubkey: bytes
    vout: int
    tx: bytes
    branch: bytes
    headers: list[bytes]
    block_height: int
    entitlement: dict[str, Any] | None = None


class Elsewhere(NamedTuple):
    """How a payment is paid on another rail than bitcoin: in minor units, and the sources of the entries by which it left
    and arrived, None before it has.
    """

    rail: str
    amount_minor: int
    sent: str | None
    settled: str | None


class File(NamedTuple):
    """A file of a pack: its path, and its bytes in parts that are read as they are taken."""

    name: str
    parts: Iterable[bytes]


# Returns the numbers of the things of a kind that the chosen entries are about, as a subquery.
Numbers = Callable[[str], RawSQL]


class Backend(Protocol):
    """Testifies from the database, in the database transaction of whoever asks; it never asks a node."""

    def network(self) -> str:
        """Return the network of this installation."""
        ...

    def address(self, script: bytes) -> str | None:
        """Return the address that a script has on this network, or None where it has none."""
        ...

    def sources(self, disbursement_id: int) -> list[str]:
        """Return the sources of the entries of a list, such as ``payout:12``; raise NotFound."""
        ...

    def anchors(self) -> Iterator[Anchor]:
        """Yield where final blocks hold checkpoints' hashes, by size."""
        ...

    def files(self, numbers: Numbers) -> Iterator[File]:
        """Yield the files about lists and payouts, in memory that does not grow; last the headers, from the lowest to the
        highest block that these files or the anchors before them name.

        ``numbers("payout")`` are those of which the chosen entries say ``payout:12``, as a subquery.
        """
        ...

    def anchor(self, checkpoint: Checkpoint) -> Anchor | None:
        """Return where a final block holds a checkpoint's hash, or None."""
        ...

    def anchored(self, checkpoint_ids: list[int]) -> dict[int, Place]:
        """Return where final blocks hold checkpoints' hashes, of those that are there, by checkpoint; one statement."""
        ...

    def output(self, payment_id: int) -> Output | None:
        """Return where a final block pays a payment, or None until one does; raise NotFound."""
        ...

    def elsewhere(self, payment_id: int) -> Elsewhere | None:
        """Return how a payment is paid on another rail, or None for one in bitcoin; raise NotFound."""
        ...

    def leg(self, payment_id: int) -> tuple[str, str | None] | None:
        """Return the sources of the entries by which a trust owes for a payment, and has paid; None where none does."""
        ...


def backend() -> Backend:
    """Return the backend that the settings name."""
    return cast(Backend, import_string(settings.LEDGER_PACK_EVIDENCE)())
