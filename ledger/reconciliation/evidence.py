"""What reconciliation must be told, and by whom: the backend that ``settings.LEDGER_EVIDENCE`` names."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol, cast

from django.conf import settings
from django.utils.module_loading import import_string

from govpay.errors import GovPayError


class SourceStale(GovPayError):
    """The sources do not stand at one block; they may in a moment."""

    code = "source_stale"
    http_status = 503
    is_transient = True


class SourceTooOld(GovPayError):
    """A source is there, but what it knows is too old or too incomplete to prove anything."""

    code = "source_too_old"
    http_status = 503


class ChainForked(SourceStale):
    """The blocks that were read are not on the chain any more; reading starts again."""

    code = "chain_forked"


class ChainFacts(NamedTuple):
    """The block at which everything is compared: what the node says is its best and the follower has read."""

    network: str
    block_hash: str
    height: int


class Claim(NamedTuple):
    """An output we say pays somebody: a payment whose tx is signed. ``is_mined``: our records have it in a block.

    ``obligation`` is the payment that it stands in for, or itself: of those with the same one, one may be paid.
    """

    payment_id: int
    payout_id: int
    txid: str
    vout: int
    script_pubkey: bytes
    amount_sat: int
    is_mined: bool
    obligation: int


class Conversion(NamedTuple):
    """What we say such a payment is of, where people are entitled to money: so many minor units at a price.

    ``price`` is that of a bitcoin in hundred-millionths of major units, ``scale`` how many digits the minor units have.
    """

    payment_id: int
    payout_id: int
    amount_minor: int
    amount_sat: int
    price: int
    scale: int


class ConvertedList(NamedTuple):
    """What the lines of a list of money were converted to together, and what was left over."""

    list_id: int
    amount_minor: int
    amount_sat: int
    remainder_minor: int


class PayoutClaim(NamedTuple):
    """A tx that we say is ours: its fee and the sum of its payments, and how far our records say it came.

    ``is_settled``: it is final, and its payments are settled; ``was_sent``: a node took it; ``was_mined``: a block held it,
    which may have left the chain. It waits since ``since``.
    """

    payout_id: int
    txid: str
    fee_sat: int
    payments_sat: int
    is_mined: bool
    is_settled: bool
    was_sent: bool
    was_mined: bool
    since: datetime


class Version(NamedTuple):
    """A signed tx of a payout, which may be the one that speaks for it, an older one, or its void."""

    payout_id: int
    txid: str


class ChangeClaim(NamedTuple):
    """An output of such a tx that we say comes back to us, or one of 0 satoshis that holds a seal's commitment."""

    txid: str
    vout: int
    script_pubkey: bytes
    amount_sat: int


class ChainOutput(NamedTuple):
    """An output in a block; ``is_ours`` when its script belongs to the scope's wallet."""

    vout: int
    script_pubkey: bytes
    amount_sat: int
    is_ours: bool


class ChainSpend(NamedTuple):
    """An outpoint of ours that a tx in a block spends."""

    txid: str
    vout: int
    amount_sat: int


class ChainTx(NamedTuple):
    """A tx in a block that pays the wallet or spends from it, with all its outputs."""

    txid: str
    input_count: int
    outputs: tuple[ChainOutput, ...]
    spends: tuple[ChainSpend, ...]


class ChainBlock(NamedTuple):
    """A block that was read, with the wallet's txs in it."""

    height: int
    block_hash: str
    time_s: int
    txs: tuple[ChainTx, ...]


class Start(NamedTuple):
    """Where a walk goes on: the last block that was read, and the wallet's coins (txid, vout) in satoshis after it."""

    height: int
    block_hash: str
    coins: dict[tuple[str, int], int]


class UtxoFact(NamedTuple):
    """What the node's own set of unspent outputs holds for the wallet at a block."""

    block_hash: str
    height: int
    amount_sat: int
    coin_count: int


class Walk(Protocol):
    """A reader of blocks for one scope that remembers where it stands, so that new blocks are read once."""

    def read_to(self, chain: ChainFacts) -> Iterator[ChainBlock]:
        """Yield the blocks after where it stood, up to and with the chain's; raise ChainForked, and what the node raises."""
        ...


class Backend(Protocol):
    """Testifies about scopes. Whatever asks a node is called outside database transactions and may raise
    GovPayError; the rest is read in one database transaction, and is one snapshot. ``only`` names payouts; None is all."""

    def scopes(self) -> list[str]:
        """Return every scope that can be reconciled."""
        ...

    def chain(self, scope: str) -> ChainFacts:
        """Ask the node for its best block; raise SourceStale unless the follower has read exactly up to it."""
        ...

    def block_at(self, height: int) -> str | None:
        """Ask the node which block its chain has at a height, None above the tip."""
        ...

    def walk(self, scope: str, start: Start | None) -> Walk:
        """Return a reader that goes on from there, or begins at the wallet's birth."""
        ...

    def utxos(self, scope: str, chain: ChainFacts) -> UtxoFact:
        """Ask the node what it holds unspent for the wallet at this block; raise SourceStale while it cannot say."""
        ...

    def waiting(self, scope: str) -> Iterator[str]:
        """Ask the node which of the signed txs that no block holds wait in its memory pool, and yield their txids."""
        ...

    def read_tip(self) -> str:
        """Return the hash of the block that the follower has read, from the database."""
        ...

    def changed(self, scope: str, since: str, txids: Sequence[str]) -> Iterator[int]:
        """Yield the payouts whose records may have changed after the database snapshot ``since`` (pg_snapshot as text),
        and those that have one of the txs."""
        ...

    def owners(self, scope: str, payment_ids: Sequence[int]) -> Iterator[int]:
        """Yield the payouts that the payments belong to."""
        ...

    def rivals(self, scope: str, payout_ids: Sequence[int]) -> Iterator[int]:
        """Yield the payouts with payments for the same obligations as theirs."""
        ...

    def claims(self, scope: str, only: Sequence[int] | None) -> Iterator[Claim]:
        """Yield the claims from the database, in memory that does not grow with their number."""
        ...

    def conversions(self, scope: str, only: Sequence[int] | None) -> Iterator[Conversion]:
        """Yield of those claims what each was converted from; nothing where people are entitled to satoshis."""
        ...

    def converted(self, scope: str, list_ids: Sequence[int]) -> Iterator[ConvertedList]:
        """Yield what these lists were converted to."""
        ...

    def payouts(self, scope: str, only: Sequence[int] | None) -> Iterator[PayoutClaim]:
        """Yield the txs that are said to be ours from the database."""
        ...

    def versions(self, scope: str, only: Sequence[int] | None) -> Iterator[Version]:
        """Yield every signed version of those payouts from the database."""
        ...

    def change(self, scope: str, only: Sequence[int] | None) -> Iterator[ChangeClaim]:
        """Yield the change of those txs from the database."""
        ...


def backend() -> Backend:
    """Return the backend that the settings name."""
    return cast(Backend, import_string(settings.LEDGER_EVIDENCE)())
