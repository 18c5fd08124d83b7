"""The pure core: what a payout's stored state and one observation of the world command next.

It imports neither Django nor a node, so that a simulation can run it through thousands of crashes. The loop around
it (``engine.advance``) reads the state anew from the store before every decision; nothing is remembered in between.
"""

from dataclasses import dataclass

from payments.onchain.send import SendOutcome
from payments.states import PayoutStatus

RETRY_S = 5
FEE_RETRY_S = 60
SIGN_RETRY_S = 60
# How long accepted bytes rest before they are offered to the node again, in case it forgot them.
REBROADCAST_S = 60
# How long the coins of an unsealed payout rest, so that a coin which the node lacks is not sealed again and again.
COIN_REST_S = 60


@dataclass(frozen=True)
class Snapshot:
    """A payout as the store has it now.

    ``signed`` is the newest version whose signed bytes are stored (in a payout that is given up: the newest void), and
    ``txids`` names all of them. ``is_pending``: its current version waits for a signature. ``brake`` says why nothing may
    be committed, signed or sent now: a global stop, a halted wallet; empty when the way is free.
    """

    payout_id: int
    status: str
    txids: frozenset[str]
    signed: "Version | None"
    is_pending: bool
    is_due: bool = True
    brake: str = ""


@dataclass(frozen=True)
class Version:
    """Signed bytes and their txid."""

    txid: str
    raw: bytes


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
    """The node refuses the tx because of these payments."""

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
    """What the node said to the bytes."""

    outcome: SendOutcome
    reason: str = ""


@dataclass(frozen=True)
class Spender:
    """Who spends an input: a txid, or None when nobody does."""

    txid: str | None


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

    note: str = ""


@dataclass(frozen=True)
class FindSpender:
    """Look up who spends the inputs, in blocks and memory pool."""


@dataclass(frozen=True)
class Freeze:
    """Stop and raise an alarm; a person must look."""

    reason: str


@dataclass(frozen=True)
class Retry:
    """Come back later; say why."""

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
    | Freeze
    | Retry
    | Rest
)

# What a stop or a halt forbids. To store what a signer returned stays allowed: those bytes exist.
BRAKED = (Claim, Commit, Sign, Send)
FINAL = (Unseal, Quarantine, RecordSent, Freeze, Retry, Rest)
ALIVE = (PayoutStatus.COMMITTED, PayoutStatus.SIGNED, PayoutStatus.SENT, PayoutStatus.VOIDING)


class Impossible(AssertionError):
    """A state and an observation that only a bug can bring together."""


def decide(payout: Snapshot, seen: Observation) -> Command:
    """Return the next command for a payout in this state after this observation."""
    if payout.status == PayoutStatus.SEALED:
        command = _sealed(seen)
    elif payout.status in ALIVE:
        command = _alive(payout, seen)
    else:
        return Rest()
    if payout.brake and isinstance(command, BRAKED):
        return Retry(payout.brake, RETRY_S)
    return command


def _sealed(seen: Observation) -> Command:
    match seen:
        case Nothing():
            return CheckCoins()
        case CoinsThere():
            return Examine()
        case CoinGone(outpoint):
            return Unseal(f"The coin {outpoint} is not unspent any more.")
        case Acceptable():
            return Claim()
        case Poisoned(payment_ids, reason):
            return Quarantine(payment_ids, reason)
        case Claimed():
            return Commit()
    raise Impossible(seen)


def _alive(payout: Snapshot, seen: Observation) -> Command:
    """Sign what waits for a signature, and keep the newest signed bytes before the node meanwhile."""
    match seen:
        case Nothing() if payout.is_pending:
            return Sign()
        case Nothing():
            return _send(payout) or Rest()
        case Signed(raw):
            return Persist(raw)
        case SignerWaits(reason, delay_s):
            return _send(payout) or Retry(reason, delay_s)
        case SignerContradicts(rule):
            return Freeze(f"The signer returned something else than what was sealed: {rule}.")
        case SendReply(outcome, reason):
            return _after_send(outcome, reason)
        case Spender(None):
            return Retry("An input is not known to the node yet; its block may come back.", RETRY_S)
        case Spender(txid) if payout.signed is not None and txid == payout.signed.txid:
            return RecordSent()
        case Spender(txid) if txid in payout.txids:
            return RecordSent(f"The node keeps another version, {txid}.")
        case Spender(txid):
            return Freeze(f"An input is spent by {txid}, which is not ours.")
    raise Impossible(seen)


def _send(payout: Snapshot) -> Command | None:
    return Send(payout.signed) if payout.signed is not None and payout.is_due else None


def _after_send(outcome: SendOutcome, reason: str) -> Command:
    match outcome:
        case SendOutcome.ACCEPTED | SendOutcome.KNOWN:
            return RecordSent()
        case SendOutcome.UNKNOWN:
            return Retry(f"The node did not answer ({reason}); the same bytes go again.", RETRY_S)
        case SendOutcome.FEE_TOO_LOW:
            return Retry(f"The node wants a higher fee now ({reason}).", FEE_RETRY_S)
        case SendOutcome.CHAIN_TOO_LONG:
            return Retry(f"Too many unconfirmed ancestors ({reason}).", FEE_RETRY_S)
        case SendOutcome.MISSING_INPUTS | SendOutcome.CONFLICT:
            return FindSpender()
        case SendOutcome.FEE_TOO_HIGH | SendOutcome.REJECTED:
            return Freeze(f"The node refuses the tx: {reason}.")
