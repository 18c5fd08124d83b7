"""What reconciliation must be told, and by whom: the backend that ``settings.LEDGER_EVIDENCE`` names."""

from collections.abc import Iterator
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
    """An output we say pays somebody: a payment whose tx is signed. ``is_mined``: our records have it in a block."""

    payment_id: int
    payout_id: int
    txid: str
    vout: int
    script_pubkey: bytes
    amount_sat: int
    is_mined: bool


class PayoutClaim(NamedTuple):
    """A tx that we say is ours: its fee and the sum of its payments."""

    payout_id: int
    txid: str
    fee_sat: int
    payments_sat: int
    is_mined: bool


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
    block_hash: str
    block_height: int
    input_count: int
    outputs: tuple[ChainOutput, ...]
    spends: tuple[ChainSpend, ...]


class UtxoFact(NamedTuple):
    """What the node's own set of unspent outputs holds for the wallet at a block."""

    block_hash: str
    height: int
    amount_sat: int
    coin_count: int


class Walk(Protocol):
    """A reader of blocks for one scope that remembers where it stands, so that new blocks are read once."""

    def read_to(self, chain: ChainFacts) -> Iterator[ChainTx]:
        """Yield the wallet's txs in the blocks after where it stood, up to and with the chain's.

        A block's txs are yielded after it counts as read. Raises ChainForked, and what the node raises.
        """
        ...


class Backend(Protocol):
    """Testifies about scopes. Whatever asks a node is called outside database transactions and may raise
    GovPayError; the rest is read in one database transaction, and is one snapshot."""

    def scopes(self) -> list[str]:
        """Return every scope that can be reconciled."""
        ...

    def chain(self, scope: str) -> ChainFacts:
        """Ask the node for its best block; raise SourceStale unless the follower has read exactly up to it."""
        ...

    def walk(self, scope: str) -> Walk:
        """Return a reader that starts at the wallet's birth."""
        ...

    def utxos(self, scope: str) -> UtxoFact:
        """Ask the node what it holds unspent for the wallet now; raise SourceStale while it cannot say."""
        ...

    def read_tip(self) -> str:
        """Return the hash of the block that the follower has read, from the database."""
        ...

    def claims(self, scope: str) -> Iterator[Claim]:
        """Yield the claims from the database, in memory that does not grow with their number."""
        ...

    def payouts(self, scope: str) -> Iterator[PayoutClaim]:
        """Yield the txs that are said to be ours from the database."""
        ...

    def change(self, scope: str) -> Iterator[ChangeClaim]:
        """Yield the change of those txs from the database."""
        ...


def backend() -> Backend:
    """Return the backend that the settings name."""
    return cast(Backend, import_string(settings.LEDGER_EVIDENCE)())
