"""What each doorbell does: connect store and node to a step, and note what the world lacks instead of failing."""

from collections.abc import Callable

import structlog
from django.conf import settings
from django.db import OperationalError

from govpay.errors import Conflict, GovPayError, Unavailable
from ledger.books import days
from ledger.seals import checkpoints, sealer
from ledger.seals.store import SealsBroken
from payments import doorbell
from payments.models import Disbursement, Heartbeat, Intervention, Payout, PayoutKind, Wallet
from payments.onchain import node
from payments.payout import (
    agreed,
    alarms,
    chain,
    engine,
    failpoint,
    feerate,
    funding,
    guard,
    proofs,
    store,
    wallets,
    weather,
)
from payments.payout import anchor as anchoring
from payments.payout import consolidate as merging
from payments.payout import follow as follower
from payments.payout import hasten as hastening
from payments.payout import intervene as interventions
from payments.payout import reimport as reimporting
from payments.payout import seal as sealing
from payments.states import InterventionStatus

log = structlog.get_logger(__name__)

# For so long a look at the node's chain, tip and wallet serves the visits of a worker to one payout after another.
LOOK_S = 2
# Each has 5,000 entries or 100,000 lines at most: some seconds in all.
SEALS_A_RING = 4


def provision(*, wallet_id: int) -> None:
    """Make or load the wallet in the node, give it a funding script, and mark it ready; harmless to repeat."""

    def work(client: node.Node) -> None:
        wallet = Wallet.objects.get(pk=wallet_id)
        wallets.ensure(wallet, client)
        # Before anybody can know an address of it, so that no deposit lies before the first block that is read.
        follower.begin(client)
        wallets.open_for_funding(wallet, client)

    def waits(error: GovPayError) -> None:
        # A node that is down is noted elsewhere; a wallet that is not the descriptor's needs somebody.
        if isinstance(error, Conflict):
            alarms.sound(
                "wallet_unusable",
                subject="wallet",
                subject_id=wallet_id,
                program_id=Wallet.objects.values_list("program_id", flat=True).get(pk=wallet_id),
                message=error.message,
            )

    _with_node("provision", work, waits, wallet_id=wallet_id)


def seal(*, disbursement_id: int) -> None:
    """Seal group after group until nothing is left, coins run out, or the node asks too much.

    One worker a list: another would only wait for its turn at the wallet, and signs and sends meanwhile instead.
    """
    disbursement = Disbursement.objects.select_related("program__wallet", "cycle").get(pk=disbursement_id)

    def work(client: node.Node) -> None:
        wallet = disbursement.program.wallet
        guard.require_wallet_runs(wallet)
        guard.require_fresh_tip(client)
        follower.catch_up(client, failpoint=failpoint.hit)
        guard.check_wallet(wallet, client)
        rate = feerate.choose(disbursement.program, client, is_urgent=disbursement.is_urgent)
        agreed.read(disbursement)
        while True:
            sealing.refill_change(wallet, client)
            if sealing.seal_next(disbursement, feerate_sat_kvb=rate) is None:
                break
            failpoint.hit("K7")
        Disbursement.objects.filter(pk=disbursement_id).exclude(problem="").update(problem="")
        feerate.end_wait(disbursement_id)
        _clear_coins(disbursement_id, "The list is sealed.")

    def waits(error: GovPayError) -> None:
        Disbursement.objects.filter(pk=disbursement_id).update(problem=error.message[:300])
        feerate.note_wait(disbursement_id, error)
        if isinstance(error, agreed.ApprovalForged):
            agreed.alarm(error)
        if isinstance(error, funding.CoinsTooSmall):
            doorbell.ring("consolidate", wallet_id=disbursement.program.wallet.pk)
            alarms.sound(
                funding.CoinsTooSmall.code,
                subject="disbursement",
                subject_id=disbursement_id,
                program_id=disbursement.program_id,
                message=error.message,
            )
        else:
            _clear_coins(disbursement_id, "The list waits for something else.")

    with sealing.only_one(disbursement_id) as is_mine:
        if is_mine:
            _with_node("seal", work, waits, disbursement_id=disbursement_id)


def _clear_coins(disbursement_id: int, note: str) -> None:
    alarms.clear(funding.CoinsTooSmall.code, subject="disbursement", subject_id=disbursement_id, note=note)


def consolidate(*, wallet_id: int) -> None:
    """Merge a wallet's small coins, if its program's rules allow it now; note why not."""

    def work(client: node.Node) -> None:
        wallet = Wallet.objects.select_related("program").get(pk=wallet_id)
        guard.require_wallet_runs(wallet)
        guard.check_wallet(wallet, client)
        sealing.refill_change(wallet, client)
        rate = feerate.choose(wallet.program, client, is_urgent=True)
        merging.build(wallet_id, feerate_sat_kvb=rate)
        merging.put_off(wallet_id, "")

    def waits(error: GovPayError) -> None:
        merging.put_off(wallet_id, error.message)

    _with_node("consolidate", work, waits, wallet_id=wallet_id)


def seal_books() -> None:
    """Seal entries that are final, and sign a checkpoint when one is due. No node is needed.

    A long backlog is sealed in parts, a ring each, so that nothing else waits long for the worker.
    """
    try:
        is_all = len(sealer.seal(failpoint=failpoint.hit, at_most=SEALS_A_RING)) < SEALS_A_RING
        if checkpoints.is_due(settings.GOVPAY_CHECKPOINT_EVERY_S):
            checkpoints.issue(failpoint=failpoint.hit)
    except OperationalError as error:
        log.warning("database_waits", task="seal_books", error=type(error).__name__, reason=str(error)[:300])
    except SealsBroken as error:
        log.error("seals_broken", reason=error.message)
        alarms.sound(SealsBroken.code, subject="books", message=error.message)
    else:
        if is_all:
            Heartbeat.beat("seal_books")


def add_up_books() -> None:
    """Add what moved in the books to its days; where somebody writes just now, a later sweep rings again."""
    if days.add_up():
        Heartbeat.beat("add_up_books")


def anchor(*, checkpoint_id: int) -> None:
    """Seal the anchor of a checkpoint, if the paying wallet's rules allow it now."""

    def work(client: node.Node) -> None:
        wallet = anchoring.wallet()
        if wallet is None:
            return
        guard.require_fresh_tip(client)
        follower.catch_up(client, failpoint=failpoint.hit)
        guard.check_wallet(wallet, client)
        sealing.refill_change(wallet, client)
        rate = feerate.choose(wallet.program, client, is_urgent=False)
        anchoring.build(checkpoint_id, wallet.pk, feerate_sat_kvb=rate)
        Heartbeat.beat("anchor")

    def waits(error: GovPayError) -> None:
        # A node that is busy or a reader that is behind comes round in seconds, and the next sweep asks again. Fees, coins
        # and people take longer.
        if not (isinstance(error, Unavailable) and error.is_transient):
            Heartbeat.beat("anchor")

    _with_node("anchor", work, waits, checkpoint_id=checkpoint_id)


def prove(*, block_id: int) -> None:
    """Keep where in a block its final payouts lie."""

    def work(client: node.Node) -> None:
        proofs.keep(block_id, client)

    _with_node("prove", work, block_id=block_id)


def advance(*, payout_id: int) -> None:
    """Visit one payout."""

    def work(client: node.Node) -> None:
        payout = Payout.objects.select_related("wallet").get(pk=payout_id)

        def points(point: str) -> None:
            # That an anchor was sent has a kill point of its own.
            failpoint.hit("K19" if point == "K11" and payout.kind == PayoutKind.ANCHOR else point)

        guard.require_fresh_tip(client, max_age_s=LOOK_S)
        guard.check_wallet(payout.wallet, client, max_age_s=LOOK_S)
        engine.advance(
            payout_id,
            store=store.PostgresStore(),
            chain=chain.NodeChain(client, payout_id),
            failpoint=points,
        )

    def waits(error: GovPayError) -> None:
        store.PostgresStore().put_off(payout_id, error.message)

    _with_node("advance", work, waits, payout_id=payout_id)


def bump(*, payout_id: int) -> None:
    """Raise the fee of one payout that the node does not take any more."""

    def work(client: node.Node) -> None:
        client.load_wallet(Wallet.objects.get(payouts=payout_id).name)
        hastening.outbid_floor(payout_id, client)

    _with_node("bump", work, payout_id=payout_id)


def hasten(*, wallet_id: int) -> None:
    """Raise the fees of a wallet's payouts that have waited for more blocks than their program has patience."""

    def work(client: node.Node) -> None:
        client.load_wallet(Wallet.objects.get(pk=wallet_id).name)
        hastening.raise_stuck(wallet_id, client)

    _with_node("hasten", work, wallet_id=wallet_id)


def intervene(*, intervention_id: int) -> None:
    """Carry out what people agreed to about a payout or a wallet."""

    def work(client: node.Node) -> None:
        interventions.carry_out(intervention_id, client, failpoint=failpoint.hit)

    def waits(error: GovPayError) -> None:
        open_one = Intervention.objects.filter(pk=intervention_id, status=InterventionStatus.APPROVED)
        open_one.update(failure=error.message[:300])

    _with_node("intervene", work, waits, intervention_id=intervention_id)


def follow() -> bool:
    """Read new blocks and derive states; return whether it was this process that did, and not another at the time."""

    def work(client: node.Node) -> None:
        follower.follow(client, failpoint=failpoint.hit)
        weather.look(client)

    try:
        # The lock comes before the node: while one round hangs on it, the others end at once.
        with follower.only_one() as is_mine:
            if is_mine:
                _with_node("follow", work)
            return is_mine
    except OperationalError as error:
        log.warning("database_waits", task="follow", error=type(error).__name__, reason=str(error)[:300])
        return False


def reimport(*, progress: reimporting.Progress) -> list[reimporting.Report]:
    """Read the chain anew for a restored database; the follower rests meanwhile. Raises GovPayError.

    Raises guard.FollowerBusy while another process follows.
    """
    client = node.connect()
    with follower.only_one() as is_mine:
        if not is_mine:
            raise guard.FollowerBusy("Another worker follows the chain now; try again in a moment.")
        follower.follow(client, failpoint=failpoint.hit)
        return reimporting.reimport(client, progress=progress)


def _with_node(
    task: str,
    work: Callable[[node.Node], None],
    waits: Callable[[GovPayError], None] | None = None,
    **ids: int,
) -> None:
    """Do the work with the right node; what a person or the world can cause is noted and waits for the sweep.

    Anything else is a bug and fails the task loudly.
    """
    client = node.connect()
    try:
        guard.require_chain(client, max_age_s=LOOK_S if task == "advance" else 0)
        work(client)
    except OperationalError as error:
        # A deadlock, a lock that came too late, a database that went away: nothing was committed.
        log.warning("database_waits", task=task, error=type(error).__name__, reason=str(error)[:300], **ids)
    except GovPayError as error:
        log.warning("work_waits", task=task, code=error.code, reason=error.message, **ids)
        if waits is not None:
            waits(error)
        if isinstance(error, node.NodeError):
            guard.record(is_ok=False, code=error.code, message=error.message)
    finally:
        client.close()
