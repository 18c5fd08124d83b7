"""The pure core: what a payout's stored state and one observation of the world command next.

It imports neither Django nor a node, so that a simulation can run it through thousands of crashes. The loop around
it (``engine.advance``) reads the state anew from the store after every command but a look at the world whose outcome
leads to nothing but a write, which the token of the lease guards.
"""

from payments.onchain.send import SendOutcome
from payments.payout import words
from payments.states import PayoutStatus

# Delays in seconds: the first one, which doubles each time in a row, and the longest. A new block ends them (follow.py).
RETRY_S, RETRY_MOST_S = 5, 60
FEE_RETRY_S, FEE_RETRY_MOST_S = 60, 600
SIGN_RETRY_S = 60
# How long accepted bytes rest before they are offered again. The follower looks for them in the node's memory pool
# meanwhile, and ends the rest when they are not there any more.
REBROADCAST_S, REBROADCAST_MOST_S = 60, 3_600
# After so many failures in a row, about eight minutes if no block comes, a person should know.
STUCK_ATTEMPTS = 10
# How long the coins of an unsealed payout rest, so that a coin which the node lacks is not sealed again and again.
COIN_REST_S = 60

# What a stop or a halt forbids. To store what a signer returned stays allowed: those bytes exist.
BRAKED = (words.Claim, words.Commit, words.Sign, words.Send)
FINAL = (
    words.Unseal,
    words.Quarantine,
    words.RecordSent,
    words.Freeze,
    words.Retry,
    words.WantFee,
    words.Rest,
)
# Commands that change nothing stored, and whose outcome needs no newer state: what follows is another look, or a write
# with the token. Before a signer or a node is handed anything, the brake is read anew.
LOOKS = (words.CheckCoins, words.Examine, words.Claim, words.Sign, words.Send)
ALIVE = (PayoutStatus.COMMITTED, PayoutStatus.SIGNED, PayoutStatus.SENT, PayoutStatus.VOIDING)


class Impossible(AssertionError):
    """A state and an observation that only a bug can bring together."""


def decide(payout: words.Snapshot, seen: words.Observation) -> words.Command:
    """Return the next command for a payout in this state after this observation."""
    if payout.status == PayoutStatus.SEALED:
        command = _sealed(payout, seen)
    elif payout.status in ALIVE:
        command = _alive(payout, seen)
    else:
        return words.Rest()
    if payout.brake and isinstance(command, BRAKED):
        return words.Retry(payout.brake, RETRY_S, is_failure=False)
    return command


def _sealed(payout: words.Snapshot, seen: words.Observation) -> words.Command:
    match seen:
        case words.Nothing():
            return words.CheckCoins()
        case words.CoinsThere():
            return words.Examine()
        case words.CoinGone() if payout.is_claimed:
            # If this database is of an older day, it was signed since, and a bump of it may be what took the coin.
            return words.Commit()
        case words.CoinGone(outpoint):
            return words.Unseal(f"The coin {outpoint} is not unspent any more.")
        case words.Acceptable():
            return words.Claim()
        case words.Poisoned(payment_ids, reason):
            return words.Quarantine(payment_ids, reason)
        case words.Claimed():
            return words.Commit()
    raise Impossible(seen)


def _alive(payout: words.Snapshot, seen: words.Observation) -> words.Command:
    """Sign what waits for a signature, and keep the newest signed bytes before the node meanwhile."""
    match seen:
        case words.Nothing() if payout.is_pending:
            return words.Sign(payout.is_bump)
        case words.Nothing():
            return _send(payout) or words.Rest()
        case words.Signed(raw):
            return words.Persist(raw)
        case words.SignerWaits(reason, delay_s):
            return _send(payout) or words.Retry(reason, delay_s, is_failure=False)
        case words.SignerContradicts(rule):
            return words.Freeze(f"The signer returned something else than what was sealed: {rule}.")
        case words.SendReply():
            return _after_send(payout, seen)
        case words.Spender(None):
            return words.FindSendable()
        case words.Sendable(None):
            return _wait_for_input(payout)
        case words.Sendable(words.Version() as version):
            return words.Send(version)
        case words.Spender(txid) if payout.signed is not None and txid == payout.signed.txid:
            return _rest(payout)
        case words.Spender(txid) if txid in payout.txids:
            return _rest(payout, f"The node keeps another version, {txid}.")
        case words.Spender(txid):
            return words.Freeze(f"An input is spent by {txid}, which is not ours.")
    raise Impossible(seen)


def _send(payout: words.Snapshot) -> words.Command | None:
    return words.Send(payout.signed) if payout.signed is not None and payout.is_due else None


def _rest(payout: words.Snapshot, note: str = "") -> words.RecordSent:
    delay_s = backoff_s(REBROADCAST_S, REBROADCAST_MOST_S, times=payout.offers, payout_id=payout.payout_id)
    return words.RecordSent(delay_s, note)


def _wait_for_input(payout: words.Snapshot) -> words.Retry:
    reason = "An input is not known to the node; its block may come back."
    return words.Retry(reason, retry_s(payout.payout_id, payout.attempts))


def _after_send(payout: words.Snapshot, reply: words.SendReply) -> words.Command:
    outcome, reason = reply.outcome, reply.reason
    fee_retry_s = backoff_s(FEE_RETRY_S, FEE_RETRY_MOST_S, times=payout.attempts, payout_id=payout.payout_id)
    match outcome:
        case SendOutcome.ACCEPTED | SendOutcome.KNOWN if reply.is_older:
            return _rest(payout, "A coin of its newest version is gone; the node has an older one.")
        case SendOutcome.ACCEPTED | SendOutcome.KNOWN:
            return _rest(payout)
        case SendOutcome.UNKNOWN:
            delay_s = retry_s(payout.payout_id, payout.attempts)
            return words.Retry(f"The node did not answer ({reason}); the same bytes go again.", delay_s)
        case SendOutcome.FEE_TOO_LOW:
            return words.WantFee(f"The node wants a higher fee now ({reason}).", fee_retry_s)
        case SendOutcome.CHAIN_TOO_LONG:
            return words.Retry(f"Too many unconfirmed ancestors ({reason}).", fee_retry_s)
        case SendOutcome.MISSING_INPUTS | SendOutcome.CONFLICT if reply.is_older:
            # The world changed between two questions. The next visit begins with the newest version again.
            return _wait_for_input(payout)
        case SendOutcome.MISSING_INPUTS | SendOutcome.CONFLICT:
            return words.FindSpender()
        case SendOutcome.FEE_TOO_HIGH | SendOutcome.REJECTED:
            return words.Freeze(f"The node refuses the tx: {reason}.")


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
