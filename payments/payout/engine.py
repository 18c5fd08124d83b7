"""The loop around the pure core: lease, read, decide, act, until the payout has nothing more to do now."""

from payments.payout import core, words
from payments.payout.ports import Chain, FailPoint, LeaseLost, Store


def advance(payout_id: int, *, store: Store, chain: Chain, failpoint: FailPoint) -> None:
    """Take one payout as far as it goes now. Safe to call any number of times, by any worker, in any order.

    Returns at once when another worker has the lease, and silently gives way when it is lost on the way: the worker
    that took over does the rest. Errors of the node pass through; the sweep comes back.
    """
    token = store.lease(payout_id)
    if token is None:
        return
    try:
        seen: words.Observation = words.Nothing()
        payout = store.snapshot(payout_id, token)
        while True:
            command = core.decide(payout, seen)
            seen = act(command, payout_id, token, store=store, chain=chain, failpoint=failpoint)
            if isinstance(command, core.FINAL):
                break
            if not isinstance(command, core.LOOKS):
                payout = store.snapshot(payout_id, token)
    except LeaseLost:
        return
    finally:
        store.unlease(payout_id, token)


def act(
    command: words.Command, payout_id: int, token: int, *, store: Store, chain: Chain, failpoint: FailPoint
) -> words.Observation:
    """Carry out one command and return what was observed; Nothing after a write."""
    match command:
        case words.CheckCoins():
            return chain.check_coins()
        case words.Examine():
            return chain.examine()
        case words.Claim():
            return chain.claim()
        case words.Commit():
            store.commit(payout_id, token)
            failpoint("K8")
        case words.Sign(is_bump):
            signed = chain.sign()
            failpoint("K15" if is_bump else "K9")
            return signed
        case words.Persist(raw):
            store.persist(payout_id, token, raw)
            failpoint("K10")
        case words.Send(version):
            reply = chain.send(version)
            failpoint("K16" if version.is_bump else "K11")
            return reply
        case words.FindSpender():
            return words.Spender(chain.spender() or store.spender(payout_id))
        case words.FindSendable():
            return chain.sendable()
        case words.RecordSent(delay_s, note):
            failpoint("K12")
            store.record_sent(payout_id, token, note, delay_s)
        case words.Unseal(reason):
            store.unseal(payout_id, token, reason)
        case words.Quarantine(payment_ids, reason):
            store.quarantine(payout_id, token, payment_ids, reason)
        case words.Freeze(reason):
            store.freeze(payout_id, token, reason)
        case words.Retry(reason, delay_s, is_failure):
            store.retry(payout_id, token, reason, delay_s, is_failure)
        case words.WantFee(reason, delay_s):
            store.want_fee(payout_id, token, reason, delay_s)
    return words.Nothing()
