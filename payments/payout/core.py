"""The pure core: what a payout's stored state and one observation of the world command next.

It imports neither Django nor a node, so that a simulation can run it through thousands of crashes. The loop around
it (``engine.advance``) reads the state anew from the store before every decision; nothing is remembered in between.
"""

from dataclasses import dataclass

from payments.onchain.send import SendOutcome
from payments.states import PayoutStatus

# Delays in seconds: the first one, which doubles each time in a row, and the longest.
RETRY_S, RETRY_MOST_S = 5, 60
FEE_RETRY_S, FEE_RETRY_MOST_S = 60, 600
SIGN_RETRY_S = 60
# How long accepted bytes rest before they are offered again. The follower looks for them in the node's memory pool
# meanwhile, and ends the rest when they are not there any more.
REBROADCAST_S, REBROADCAST_MOST_S = 60, 3_600
# After so many failures in a row, about eight minutes, a person should know.
STUCK_ATTEMPTS = 10
# How long the coins of an unsealed payout rest, so that a coin which the node lacks is not sealed again and again.
COIN_REST_S = 60


@dataclass(frozen=True)
class Snapshot:
    """A payout as the store has it now.

    ``signed`` is the newest version whose signed bytes are stored (in a payout that is given up: the newest void), and
    ``txids`` names all versions, for signers elsewhere may send one that we never saw signed. ``is_pending``: its current
    version waits for a signature. ``brake`` says why nothing may be committed, signed or sent now: a global stop, a halted
    wallet, a reissue of what may confirm after all, a child of what is given up; empty when the way is free. ``attempts``
    counts failures in a row, ``offers`` how often in a row a node had the bytes. ``is_bump``: its current version is a fee
    bump.
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

# What a stop or a halt forbids. To store what a signer returned stays allowed: those bytes exist.
BRAKED = (Claim, Commit, Sign, Send)
FINAL = (Unseal, Quarantine, RecordSent, Freeze, Retry, WantFee, Rest)
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
        return Retry(payout.brake, RETRY_S, is_failure=False)
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
            return Sign(payout.is_bump)
        case Nothing():
            return _send(payout) or Rest()
        case Signed(raw):
            return Persist(raw)
        case SignerWaits(reason, delay_s):
            return _send(payout) or Retry(reason, delay_s, is_failure=False)
        case SignerContradicts(rule):
            return Freeze(f"The signer returned something else than what was sealed: {rule}.")
        case SendReply():
            return _after_send(payout, seen)
        case Spender(None):
            return FindSendable()
        case Sendable(None):
            return _wait_for_input(payout)
        case Sendable(Version() as version):
            return Send(version)
        case Spender(txid) if payout.signed is not None and txid == payout.signed.txid:
            return _rest(payout)
        case Spender(txid) if txid in payout.txids:
            return _rest(payout, f"The node keeps another version, {txid}.")
        case Spender(txid):
            return Freeze(f"An input is spent by {txid}, which is not ours.")
    raise Impossible(seen)


def _send(payout: Snapshot) -> Command | None:
    return Send(payout.signed) if payout.signed is not None and payout.is_due else None


def _rest(payout: Snapshot, note: str = "") -> RecordSent:
    delay_s = backoff_s(REBROADCAST_S, REBROADCAST_MOST_S, times=payout.offers, payout_id=payout.payout_id)
    return RecordSent(delay_s, note)


def _wait_for_input(payout: Snapshot) -> Retry:
    reason = "An input is not known to the node; its block may come back."
    return Retry(reason, retry_s(payout.payout_id, payout.attempts))


def _after_send(payout: Snapshot, reply: SendReply) -> Command:
    outcome, reason = reply.outcome, reply.reason
    fee_retry_s = backoff_s(FEE_RETRY_S, FEE_RETRY_MOST_S, times=payout.attempts, payout_id=payout.payout_id)
    match outcome:
        case SendOutcome.ACCEPTED | SendOutcome.KNOWN if reply.is_older:
            return _rest(payout, "A coin of its newest version is gone; the node has an older one.")
        case SendOutcome.ACCEPTED | SendOutcome.KNOWN:
            return _rest(payout)
        case SendOutcome.UNKNOWN:
            delay_s = retry_s(payout.payout_id, payout.attempts)
            return Retry(f"The node did not answer ({reason}); the same bytes go again.", delay_s)
        case SendOutcome.FEE_TOO_LOW:
            return WantFee(f"The node wants a higher fee now ({reason}).", fee_retry_s)
        case SendOutcome.CHAIN_TOO_LONG:
            return Retry(f"Too many unconfirmed ancestors ({reason}).", fee_retry_s)
        case SendOutcome.MISSING_INPUTS | SendOutcome.CONFLICT if reply.is_older:
            # The world changed between two questions. The next visit begins with the newest version again.
            return _wait_for_input(payout)
        case SendOutcome.MISSING_INPUTS | SendOutcome.CONFLICT:
            return FindSpender()
        case SendOutcome.FEE_TOO_HIGH | SendOutcome.REJECTED:
            return Freeze(f"The node refuses the tx: {reason}.")


def retry_s(payout_id: int, attempts: int) -> int:
    """Return how many seconds to wait after so many failures in a row before this one."""
    return backoff_s(RETRY_S, RETRY_MOST_S, times=attempts, payout_id=payout_id)


def backoff_s(first_s: int, most_s: int, *, times: int, payout_id: int) -> int:
    """Return the first delay doubled ``times`` times, at most the longest, and up to a quarter more or less.

    The spread keeps many payouts that failed together from coming back together. It is drawn from id and count, so
    that the core stays a function of what it is given.
    """
    delay_s = min(first_s << min(times, 32), most_s)
    spread = (payout_id * 0x9E3779B1 + times * 0x85EBCA6B) % 1_009 - 504
    return max(delay_s + delay_s * spread // 2_016, 1)
