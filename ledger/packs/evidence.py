"""What a pack must be told of lists and blocks, and by whom: the backend that ``settings.LEDGER_PACK_EVIDENCE`` names."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol, cast

from django.conf import settings
from django.utils.module_loading import import_string

from ledger.models import Checkpoint


class Anchor(NamedTuple):
    """Where a checkpoint lies in the chain: its ``.ots`` proof, and what stands beside it, for a JSON file."""

    ots: bytes
    beside: dict[str, Any]


class Output(NamedTuple):
    """Where a payment lies in the chain.

    ``tx`` are the bytes without witnesses, ``branch`` the Merkle branch (33 bytes a step, whether it is left, and its hash),
    ``headers`` the block's and those that follow it, 80 bytes each.
    """

    payout_id: int
    amount_sat: int
    script_pubkey: bytes
    vout: int
    tx: bytes
    branch: bytes
    headers: list[bytes]
    block_height: int


class File(NamedTuple):
    """A file of a pack: its path, and its bytes in parts that are read as they are taken."""

    name: str
    parts: Iterable[bytes]


class Backend(Protocol):
    """Testifies from the database, in the database transaction of whoever asks; it never asks a node."""

    def network(self) -> str:
        """Return the network of this installation."""
        ...

    def sources(self, disbursement_id: int) -> list[str]:
        """Return the sources of the entries of a list, such as ``payout:12``; raise NotFound."""
        ...

    def files(self, sources: Iterator[str]) -> Iterator[File]:
        """Yield the files about the lists and payouts behind these sources of entries, in memory that does not grow."""
        ...

    def headers(self, heights: Iterable[int]) -> Iterator[File]:
        """Yield the file of headers: from the lowest to the highest block of the files before, and of these heights."""
        ...

    def anchor(self, checkpoint: Checkpoint) -> Anchor | None:
        """Return where a final block holds a checkpoint's hash, or None."""
        ...

    def output(self, payment_id: int) -> Output | None:
        """Return where a final block pays a payment, or None until one does; raise NotFound."""
        ...


def backend() -> Backend:
    """Return the backend that the settings name."""
    return cast(Backend, import_string(settings.LEDGER_PACK_EVIDENCE)())
