"""The words of the pure core: what a payout's stored state is, what is observed of the world, and what is commanded."""

from dataclasses import dataclass

from payments.onchain.send import SendOutcome


@dataclass(frozen=True)
class Snapshot:
    """A payout as the store has it now.

    ``signed`` is the newest version whose signed bytes are stored (in a payout that is given up: the newest void), and
    ``txids`` names all versions, for signers elsewhere may send one that we never saw signed. ``is_pending``: its current
    version waits for a signature. ``brake`` says why nothing may be committed, signed or sent now: a global stop, a halted
    wallet, a reissue of what may confirm after all, a child of what is given up; empty when the way is free. ``attempts``
    counts failures in a row, ``offers`` how often in a row a node had the bytes. ``is_bump``: its current version is a fee
    bump. ``is_claimed``: it was counted as handed to a signer.
    """

    payout_id: int
    status: str
    txids: frozenset[str]
    signed: "Version | None"
    is_pending: bool
    is_due: bool = True
    brake: str = ""
    attempts: int = 0
    offers: int = 0
    is_bump: bool = False
    is_claimed: bool = False


@dataclass(frozen=True)
class Version:
    """Signed bytes and their txid. ``is_older``: a newer version is signed, too."""

    txid: str
    raw: bytes
    is_bump: bool = False
    is_older: bool = False


@dataclass(frozen=True)
class Nothing:
    """Nothing has been observed yet in this visit."""


@dataclass(frozen=True)
class CoinsThere:
    """The node has every reserved outpoint unspent in its chain and memory pool."""


@dataclass(frozen=True)
class CoinGone:
    """A reserved outpoint is not unspent."""

    outpoint: str


@dataclass(frozen=True)
class Acceptable:
    """The node would take the tx but for its missing signatures."""


@dataclass(frozen=True)
class Poisoned:
    """The node refuses the tx because of these payments; of none by itself when there are none."""

    payment_ids: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class Claimed:
    """The wallet's node has noted that this installation hands this payout to a signer."""


@dataclass(frozen=True)
class Signed:
    """The signer returned bytes that were checked: the sealed tx, valid signatures on all inputs."""

    raw: bytes


@dataclass(frozen=True)
class SignerWaits:
    """Not every signature is there yet."""

    reason: str
    delay_s: int


@dataclass(frozen=True)
class SignerContradicts:
    """The signer returned something else than what was sealed."""

    rule: str


@dataclass(frozen=True)
class SendReply:
    """What the node said to the bytes; to those of an older version, where the newest cannot go out."""

    outcome: SendOutcome
    reason: str = ""
    is_older: bool = False


@dataclass(frozen=True)
class Spender:
    """Who spends an input: a txid, or None when nobody does."""

    txid: str | None


@dataclass(frozen=True)
class Sendable:
    """The newest of the older signed versions of which the node has every input, or None."""

    version: Version | None


Observation = (
    Nothing
    | CoinsThere
    | CoinGone
    | Acceptable
    | Poisoned
    | Claimed
    | Signed
    | SignerWaits
    | SignerContradicts
    | SendReply
    | Spender
    | Sendable
)


@dataclass(frozen=True)
class CheckCoins:
    """Ask the node whether every reserved outpoint is still there."""


@dataclass(frozen=True)
class Examine:
    """Ask the node whether it would take the tx, were it signed."""


@dataclass(frozen=True)
class Claim:
    """Note with the wallet's node that the payout goes to a signer, unless somebody else uses the wallet."""


@dataclass(frozen=True)
class Commit:
    """Make it COMMITTED: from here on no payment of it may ever be paid another way."""


@dataclass(frozen=True)
class Unseal:
    """Free payments and outpoints; allowed only while no signer can have seen the tx."""

    reason: str


@dataclass(frozen=True)
class Quarantine:
    """Unseal, and hold the payments that the node refuses; allowed only while no signer can have seen the tx."""

    payment_ids: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class Sign:
    """Hand the current version to the signer and check what comes back."""

    is_bump: bool = False


@dataclass(frozen=True)
class Persist:
    """Store raw bytes, txid and journal entry in one commit."""

    raw: bytes


@dataclass(frozen=True)
class Send:
    """Offer the stored bytes to the node; any number of times, by any worker."""

    version: Version


@dataclass(frozen=True)
class RecordSent:
    """Note that a node has the tx, or says why it has another version, and rest until the next rebroadcast."""

    delay_s: int
    note: str = ""


@dataclass(frozen=True)
class FindSpender:
    """Look up who spends the inputs, in blocks and memory pool."""


@dataclass(frozen=True)
class FindSendable:
    """Look for an older version that could go out: a coin that the newest added is gone."""


@dataclass(frozen=True)
class Freeze:
    """Stop and raise an alarm; a person must look."""

    reason: str


@dataclass(frozen=True)
class Retry:
    """Come back later; say why. ``is_failure``: it counts towards the alarm; waiting for a signer does not."""

    reason: str
    delay_s: int
    is_failure: bool = True


@dataclass(frozen=True)
class WantFee:
    """Come back later, and let a higher fee be looked for meanwhile: the node does not take this one any more."""

    reason: str
    delay_s: int


@dataclass(frozen=True)
class Rest:
    """There is nothing to do now."""


Command = (
    CheckCoins
    | Examine
    | Claim
    | Commit
    | Quarantine
    | Unseal
    | Sign
    | Persist
    | Send
    | RecordSent
    | FindSpender
    | FindSendable
    | Freeze
    | Retry
    | WantFee
    | Rest
)
