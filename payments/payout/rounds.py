"""The rounds that come by the clock: find work that nobody does, and forget what nobody needs."""

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now
from django.utils import timezone

from govpay.models import IdempotencyRecord
from ledger.books import days
from ledger.packs import jobs
from ledger.seals import checkpoints, sealer
from payments import doorbell
from payments.doorbell import Ring
from payments.models import (
    BankFile,
    Disbursement,
    Entitlement,
    Heartbeat,
    ImportJob,
    Intervention,
    Message,
    Payment,
    Payout,
    Voucher,
    Wallet,
)
from payments.models.payout import IS_ORPHAN
from payments.payout import (
    alarms,
    anchor,
    events,
    guard,
    hasten,
    hooks,
    intervene,
    lookout,
    proofs,
    reconciling,
    screening,
    signing,
    verification,
    webhook,
)
from payments.prices import watch as prices
from payments.rails import payee
from payments.reserve import scanning
from payments.states import (
    PAYOUT_ACTIVE,
    VOUCHER_LIVE,
    BankFileStatus,
    DisbursementStatus,
    InterventionStatus,
    PaymentStatus,
)
from payments.transparency import publishing
from payments.trust import following

# Of each kind of work; what is left comes with a later sweep.
AT_ONCE = 500
# More rounds than this wait only when nobody has worked for a while.
MOST_ROUNDS = 100
# How often held lines are looked at.
REVIEW_S = 30
# The alarm about sweeps that do not come.
LATE = "sweep_late"
# Their clock counts days.
GRIEVANCES_EVERY_S = 60
# How often what moved in the books is added to its days.
DAYS_EVERY_S = 20
# A client that repeats a request after this long is told nothing of its first answer.
IDEMPOTENCY_KEPT = timedelta(days=30)


def sweep() -> None:
    """Ring for every row that has work and no worker; what is rung twice does nothing the second time."""
    doorbell.drop_stale_rounds(MOST_ROUNDS)
    intervene.expire()
    doorbell.ring_missing([found for find in FINDERS for found in find()])
    signing.watch_deadlines()
    lookout.look()
    events.number()
    Heartbeat.beat("sweep")
    alarms.clear(LATE, subject="scheduler", note="It sweeps again.")
    # Not a finder: it belongs to the rounds, so that a receiver that hangs never takes a worker from payouts.
    if webhook.has_due():
        doorbell.ring("deliver")
    if verification.has_due():
        doorbell.ring("verify")
    if payee.has_due():
        doorbell.ring("check_payees")
    # Nor this one, for the same reason.
    if Message.objects.filter(sent_at=None, failed_at=None, due_at__lte=Now()).exists():
        doorbell.ring("send_messages")


def watch() -> None:
    """Sound an alarm when nothing has swept for a while: the scheduler, or the worker for rounds, is dead.

    Whoever notices delivers it as well, because nobody else may be left to.
    """
    if not Heartbeat.is_due("sweep", every_s=late_s()):
        return
    last = Heartbeat.objects.filter(name="sweep").first()
    message = (
        f"Nothing has swept for lost work since {last.beat_at:%Y-%m-%d %H:%M:%S} UTC."
        if last
        else "Nothing has ever swept for lost work."
    )
    alarms.sound(LATE, subject="scheduler", message=message)
    webhook.deliver()


def late_s() -> int:
    """Return after how many seconds without a sweep something is wrong."""
    return Heartbeat.late_s(settings.GOVPAY_SWEEP_S)


def prune() -> None:
    """Delete stored answers of requests that nobody will repeat any more, a few at a time: no lock is held for long."""
    jobs.forget()
    expired = IdempotencyRecord.objects.filter(created_at__lt=Now() - IDEMPOTENCY_KEPT).order_by("created_at")
    while keys := list(expired.values_list("pk", flat=True)[:AT_ONCE]):
        IdempotencyRecord.objects.filter(pk__in=keys).delete()


def wallets_not_ready() -> Iterator[Ring]:
    """Find wallets that the node has not made yet."""
    for pk in Wallet.objects.filter(ready_at=None).order_by("pk").values_list("pk", flat=True)[:AT_ONCE]:
        yield Ring("provision", {"wallet_id": pk})


def payouts_due() -> Iterator[Ring]:
    """Find payouts that are due, not under a lease and not stopped, those that have waited longest first.

    An orphan waits for a reorganization or its own end, and for no visit.
    """
    if guard.is_stopped():
        return
    free = Q(lease_until=None) | Q(lease_until__lt=Now())
    due = Q(due_at=None) | Q(due_at__lte=Now())
    waiting = Payout.objects.filter(free, due, ~IS_ORPHAN, status__in=PAYOUT_ACTIVE, wallet__halted_at=None)
    longest_first = F("due_at").asc(nulls_first=True)
    for pk in waiting.order_by(longest_first, "pk").values_list("pk", flat=True)[:AT_ONCE]:
        yield Ring("advance", {"payout_id": pk})


def lists_not_sealed() -> Iterator[Ring]:
    """Find released lists with payments that no payout has claimed, unless they are stopped."""
    if guard.is_stopped():
        return
    unsealed = Payment.objects.filter(
        disbursement=OuterRef("pk"),
        payout__isnull=True,
        sent_at__isnull=True,
        status=PaymentStatus.PENDING,
    )
    released = Disbursement.objects.filter(
        Exists(unsealed), status=DisbursementStatus.RELEASED, program__wallet__halted_at=None
    )
    for pk in released.order_by("pk").values_list("pk", flat=True)[:AT_ONCE]:
        yield Ring("seal", {"disbursement_id": pk})


def wallets_to_tidy() -> Iterator[Ring]:
    """Find wallets whose small coins may be merged and were not looked at for a while."""
    if guard.is_stopped():
        return
    due = Q(consolidate_due_at=None) | Q(consolidate_due_at__lte=Now())
    may = Q(program__consolidate_feerate_sat_kvb__isnull=False, program__consolidate_budget_daily_sat__gt=0)
    wallets = Wallet.objects.filter(due, may, ready_at__isnull=False, halted_at=None)
    for pk in wallets.order_by("pk").values_list("pk", flat=True)[:AT_ONCE]:
        yield Ring("consolidate", {"wallet_id": pk})


def fees_stuck() -> Iterator[Ring]:
    """Find wallets with payouts that have waited in the memory pool for more blocks than their program has patience."""
    if guard.is_stopped():
        return
    for pk in (
        hasten.stuck()
        .filter(wallet__halted_at=None)
        .order_by("wallet_id")
        .values_list("wallet_id", flat=True)
        .distinct()[:AT_ONCE]
    ):
        yield Ring("hasten", {"wallet_id": pk})


def interventions_agreed() -> Iterator[Ring]:
    """Find what people agreed to and the engine has not done."""
    agreed = Intervention.objects.filter(status=InterventionStatus.APPROVED)
    for pk in agreed.order_by("pk").values_list("pk", flat=True)[:AT_ONCE]:
        yield Ring("intervene", {"intervention_id": pk})


def books_to_seal() -> Iterator[Ring]:
    """Find out whether entries wait for a seal, or a head for its checkpoint, and were not looked at for a while."""
    if not Heartbeat.is_due("seal_books", every_s=settings.GOVPAY_SEAL_EVERY_S):
        return
    if sealer.has_work() or checkpoints.is_due(settings.GOVPAY_CHECKPOINT_EVERY_S):
        yield Ring("seal_books", {})


def books_to_add_up() -> Iterator[Ring]:
    """Find out whether entries are not in the totals of their days yet."""
    if Heartbeat.is_due("add_up_books", every_s=DAYS_EVERY_S) and days.has_work():
        yield Ring("add_up_books", {})


def checkpoints_to_anchor() -> Iterator[Ring]:
    """Find a checkpoint that has no anchor and was not tried for a while."""
    if guard.is_stopped() or anchor.wallet() is None:
        return
    if Heartbeat.is_due("anchor", every_s=anchor.EVERY_S) and (found := anchor.next_checkpoint()) is not None:
        yield Ring("anchor", {"checkpoint_id": found.pk})


def blocks_to_prove() -> Iterator[Ring]:
    """Find blocks with final payouts whose place in them is not kept yet, and that were not looked for lately."""
    if not Heartbeat.is_due("prove", every_s=proofs.EVERY_S):
        return
    Heartbeat.beat("prove")
    for pk in proofs.unproved().values_list("pk", flat=True)[:AT_ONCE]:
        yield Ring("prove", {"block_id": pk})


def programs_to_reconcile() -> Iterator[Ring]:
    """Find programs whose books are due to be compared with claims and blocks."""
    for pk in reconciling.due():
        yield Ring("reconcile", {"program_id": pk})


def lists_to_review() -> Iterator[Ring]:
    """Find lists with a held line that no rule speaks against any more."""
    if not Heartbeat.is_due("review", every_s=REVIEW_S):
        return
    Heartbeat.beat("review")
    for pk in screening.lists_to_review(now=timezone.now(), most=AT_ONCE):
        yield Ring("review", {"disbursement_id": pk})


def packs_to_build() -> Iterator[Ring]:
    """Find evidence packs that somebody asked for and no worker is at."""
    for pk in jobs.waiting().values_list("pk", flat=True)[:AT_ONCE]:
        yield Ring("build_pack", {"job_id": pk})


def imports_to_run() -> Iterator[Ring]:
    """Find files that wait for a check, or were confirmed, and no worker is at."""
    for pk in ImportJob.objects.waiting().values_list("pk", flat=True)[:AT_ONCE]:
        yield Ring("run_import", {"job_id": pk})


def grievances_to_watch() -> Iterator[Ring]:
    """Find out whether it is time to look for grievances that nobody answered in time."""
    if Heartbeat.is_due("grievances", every_s=GRIEVANCES_EVERY_S):
        Heartbeat.beat("grievances")
        yield Ring("watch_grievances", {})


def entitlements_to_expire() -> Iterator[Ring]:
    """Find lists with lines that nobody has claimed in time."""
    over = Entitlement.objects.over(Now()).values_list("payment__disbursement_id", flat=True)
    for pk in over.order_by("payment__disbursement_id").distinct()[:AT_ONCE]:
        yield Ring("expire_entitlements", {"disbursement_id": pk})


def bank_files_to_write() -> Iterator[Ring]:
    """Find files for banks that no worker has written yet."""
    waiting = BankFile.objects.filter(status=BankFileStatus.WAITING)
    for pk in waiting.order_by("pk").values_list("pk", flat=True)[:AT_ONCE]:
        yield Ring("write_bank_file", {"bank_file_id": pk})


def vouchers_to_expire() -> Iterator[Ring]:
    """Find lists with vouchers that nobody has redeemed in time."""
    over = Voucher.objects.filter(status__in=VOUCHER_LIVE, expires_at__lte=Now())
    ids = over.values_list("payment__disbursement_id", flat=True).order_by("payment__disbursement_id")
    for pk in ids.distinct()[:AT_ONCE]:
        yield Ring("expire_vouchers", {"disbursement_id": pk})


def webhooks_to_send() -> Iterator[Ring]:
    """Find webhooks of programs that have something to be told."""
    for pk in hooks.due().order_by("due_at", "pk").values_list("pk", flat=True)[:AT_ONCE]:
        yield Ring("send_webhook", {"webhook_id": pk})


def prices_to_ask() -> Iterator[Ring]:
    """Find currencies whose price is to be asked for."""
    for pk in prices.due():
        yield Ring("watch_prices", {"rule_id": pk})


def reserve_to_scan() -> Iterator[Ring]:
    """Find out whether holdings of the public sector are to be looked at."""
    if scanning.due():
        yield Ring("scan_reserve", {})


def trusts_to_follow() -> Iterator[Ring]:
    """Find trusts with legs whose payouts settled, or of which nothing will be paid."""
    if not Heartbeat.is_due("trusts", every_s=following.EVERY_S):
        return
    Heartbeat.beat("trusts")
    for pk in following.due():
        yield Ring("follow_trust", {"trust_id": pk})


def figures_to_publish() -> Iterator[Ring]:
    """Find out whether the public figures are to be taken anew."""
    if publishing.is_due():
        yield Ring("publish_figures", {})


# Whoever adds a kind of work that waits in a row adds its finder here.
FINDERS = (
    wallets_not_ready,
    interventions_agreed,
    payouts_due,
    lists_not_sealed,
    wallets_to_tidy,
    fees_stuck,
    books_to_seal,
    books_to_add_up,
    checkpoints_to_anchor,
    blocks_to_prove,
    programs_to_reconcile,
    packs_to_build,
    imports_to_run,
    entitlements_to_expire,
    lists_to_review,
    grievances_to_watch,
    bank_files_to_write,
    vouchers_to_expire,
    webhooks_to_send,
    prices_to_ask,
    reserve_to_scan,
    trusts_to_follow,
    figures_to_publish,
)
