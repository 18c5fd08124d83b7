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
    """A payout as the store has it now. ``raw`` is None until the signed bytes are stored."""

    payout_id: int
    status: str
    txid: str
    raw: bytes | None
    is_due: bool = True


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
class Signed:
    """The signer returned bytes that were checked: the sealed tx, valid signatures on all inputs."""

    raw: bytes


@dataclass(frozen=True)
class SignerLacks:
    """The signer did not sign every input: it lacks a key, perhaps only for now."""


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
    """Who spends an input: a txid, or None when nobody does. Only our tx spends them all."""

    txid: str | None


Observation = Nothing | CoinsThere | CoinGone | Signed | SignerLacks | SignerContradicts | SendReply | Spender


@dataclass(frozen=True)
class CheckCoins:
    """Ask the node whether every reserved outpoint is still there."""


@dataclass(frozen=True)
class Commit:
    """Make it COMMITTED: from here on no payment of it may ever be paid another way."""


@dataclass(frozen=True)
class Unseal:
    """Free payments and outpoints; allowed only while no signer can have seen the tx."""

    reason: str


@dataclass(frozen=True)
class Sign:
    """Hand the sealed tx to the signer and check what comes back."""


@dataclass(frozen=True)
class Persist:
    """Store raw bytes, txid and journal entry in one commit."""

    raw: bytes


@dataclass(frozen=True)
class Send:
    """Offer the stored bytes to the node; any number of times, by any worker."""

    raw: bytes


@dataclass(frozen=True)
class RecordSent:
    """Note that a node has the bytes, and rest until the next rebroadcast."""


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
    CheckCoins | Commit | Unseal | Sign | Persist | Send | RecordSent | FindSpender | Freeze | Retry | Rest
)

FINAL = (Unseal, RecordSent, Freeze, Retry, Rest)


class Impossible(AssertionError):
    """A state and an observation that only a bug can bring together."""


def decide(payout: Snapshot, seen: Observation) -> Command:
    """Return the next command for a payout in this state after this observation."""
    if payout.status == PayoutStatus.SEALED:
        return _sealed(seen)
    if payout.status == PayoutStatus.COMMITTED:
        return _committed(seen)
    if payout.status in (PayoutStatus.SIGNED, PayoutStatus.SENT):
        return _signed(payout, seen)
    return Rest()


def _sealed(seen: Observation) -> Command:
    match seen:
        case Nothing():
            return CheckCoins()
        case CoinsThere():
            return Commit()
        case CoinGone(outpoint):
            return Unseal(f"The coin {outpoint} is not unspent any more.")
    raise Impossible(seen)


def _committed(seen: Observation) -> Command:
    match seen:
        case Nothing():
            return Sign()
        case Signed(raw):
            return Persist(raw)
        case SignerLacks():
            return Retry("The wallet did not sign every input; does it hold all of its keys?", SIGN_RETRY_S)
        case SignerContradicts(rule):
            return Freeze(f"The signer returned something else than what was sealed: {rule}.")
    raise Impossible(seen)


def _signed(payout: Snapshot, seen: Observation) -> Command:
    if payout.raw is None:
        raise Impossible(payout)
    match seen:
        case Nothing():
            return Send(payout.raw) if payout.is_due else Rest()
        case SendReply(outcome, reason):
            return _after_send(outcome, reason)
        case Spender(txid) if txid == payout.txid:
            return RecordSent()
        case Spender(None):
            return Retry("An input is not known to the node yet; its block may come back.", RETRY_S)
        case Spender(txid):
            return Freeze(f"An input is spent by {txid}, which is not ours.")
    raise Impossible(seen)


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
