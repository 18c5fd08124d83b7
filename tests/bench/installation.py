"""A program that has paid ten lists of n people: lists, payouts, txs, books and history, written as a loader would."""

from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from ledger import books, events
from ledger.books import days
from payments.models import Disbursement, Payment, Payout, PayoutTx, Program, Reservation, StatusChange
from payments.models.beneficiary import PERSONAL_CONTEXT
from payments.models.encrypted import encrypt
from payments.services import disbursements
from payments.states import DisbursementStatus, PayoutStatus
from tests import factories
from tests.payments.admin import scenes

LISTS = 10
GROUP = 500
AMOUNT_SAT, FEE_SAT = 1_000, 700
# The first of them has a line already.
PEOPLE = """
WITH people AS (
    INSERT INTO payments_beneficiary (identity_hash, personal, created_at)
    SELECT sha256(('screen ' || n)::bytea), %(personal)s::bytea, now() FROM generate_series(2, %(n)s::int) n RETURNING id
), paid_to AS (
    INSERT INTO payments_destination (beneficiary_id, script_pubkey, is_current, created_by_id, created_at)
    SELECT id, '\\x0014'::bytea || substr(sha256(id::text::bytea), 1, 20), true, %(by)s::int, now() FROM people
)
INSERT INTO payments_enrollment (program_id, beneficiary_id, reference, created_by_id, created_at)
SELECT %(program)s::bigint, id, 'SCREEN-' || id, %(by)s::int, now() FROM people
"""
LINES = """
INSERT INTO payments_payment
    (disbursement_id, cycle_id, line, beneficiary_id, amount_sat, status, script_pubkey, payout_id, vout)
SELECT %(list)s::bigint, %(cycle)s::bigint, 2 + at, beneficiary_id, %(amount)s::bigint, 'pending',
    '\\x0014'::bytea || substr(sha256(beneficiary_id::text::bytea), 1, 20),
    (%(payouts)s::bigint[])[1 + (1 + at) / %(group)s::int], (1 + at) %% %(group)s::int
FROM (
    SELECT beneficiary_id, row_number() OVER (ORDER BY id) - 1 AS at FROM payments_enrollment
    WHERE program_id = %(program)s::bigint AND reference LIKE 'SCREEN-%%'
) people
"""


def fill(program: Program, cast: dict[str, Any], people: int) -> list[Disbursement]:
    """Return the lists, oldest first, each of so many payments, all of them paid; there are ten."""
    personal = encrypt({"full_name": "Person of the bench", "phone": ""}, PERSONAL_CONTEXT)
    values = {"program": program.pk, "by": cast["officer"].pk, "n": people, "personal": personal}
    with connection.cursor() as cursor:
        cursor.execute(PEOPLE, values)
    lists = [_pay(program, cast, number, people) for number in range(LISTS)]
    while days.has_work():
        days.add_up()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return lists


def _pay(program: Program, cast: dict[str, Any], number: int, people: int) -> Disbursement:
    made = scenes.approved(
        program,
        cast["officer"],
        cast["approver"],
        amounts_sat=[AMOUNT_SAT],
        period=f"20{10 + number}-01",
    )
    disbursements.release(
        by=cast["releaser"], disbursement_id=made.pk, manifest_hash=bytes(made.manifest_hash or b"")
    )
    Disbursement.objects.filter(pk=made.pk).update(
        payment_count=people, total_sat=people * AMOUNT_SAT, status=DisbursementStatus.COMPLETED
    )
    payouts = _payouts(made, people)
    Payment.objects.filter(disbursement=made).update(
        payout=payouts[0], vout=0, script_pubkey=factories.make_script()
    )
    with connection.cursor() as cursor:
        cursor.execute(
            LINES,
            {
                "list": made.pk,
                "cycle": made.cycle_id,
                "amount": AMOUNT_SAT,
                "payouts": [payout.pk for payout in payouts],
                "group": GROUP,
                "program": program.pk,
            },
        )
    _book(program, payouts)
    made.refresh_from_db()
    return made


def _payouts(made: Disbursement, people: int) -> list[Payout]:
    """Give the list settled payouts, each with a tx, what it spent, and its history."""
    first = 1_000 + Payout.objects.count()
    payouts = Payout.objects.bulk_create(
        Payout(
            disbursement=made,
            wallet=made.program.wallet,
            status=PayoutStatus.SETTLED,
            payment_count=min(GROUP, people - at),
            payments_sat=min(GROUP, people - at) * AMOUNT_SAT,
            manifest_hash=bytes.fromhex(scenes.digest(f"screen {made.pk} {at}")),
            anchor_txid=scenes.digest(f"anchor {made.pk} {at}"),
            anchor_vout=0,
            booked_fee_sat=FEE_SAT,
            claim_number=first + at // GROUP,
            mined_txid=scenes.digest(f"tx {made.pk} {at}"),
            mined_block_hash=scenes.digest(f"block {made.pk} {at}"),
            mined_height=first + at // GROUP,
        )
        for at in range(0, people, GROUP)
    )
    now = timezone.now()
    txs = PayoutTx.objects.bulk_create(
        PayoutTx(
            payout=payout,
            txid=payout.mined_txid,
            # As large as it would be, with an output of 31 bytes a payment.
            unsigned_tx=b"\x02" * (31 * payout.payment_count),
            raw=b"\x02" * (31 * payout.payment_count),
            fee_sat=FEE_SAT,
            fee_added_sat=FEE_SAT,
            change_sat=0,
            vsize_vb=31 * payout.payment_count,
            feerate_sat_kvb=2_000,
            signed_at=now,
        )
        for payout in payouts
    )
    for payout, version in zip(payouts, txs, strict=True):
        payout.current = version
    Payout.objects.bulk_update(payouts, ["current"])
    Reservation.objects.bulk_create(
        Reservation(
            payout=payout,
            position=0,
            txid=payout.anchor_txid,
            vout=0,
            amount_sat=payout.payments_sat + FEE_SAT,
            script_pubkey=factories.make_script(),
        )
        for payout in payouts
    )
    steps = ("sealed", "committed", "signed", "sent", "mined", "settled")
    StatusChange.objects.bulk_create(
        StatusChange(subject="payout", subject_id=payout.pk, old=old, new=new, reason="As it went.")
        for payout in payouts
        for old, new in zip(("", *steps), steps, strict=False)
    )
    return payouts


def _book(program: Program, payouts: list[Payout]) -> None:
    """Post what each payout sent and that it settled, some days ago."""
    now = timezone.now()
    for payout in payouts:
        when = now - timedelta(minutes=payout.pk)
        ids = list(Payment.objects.filter(payout=payout).order_by("vout").values_list("pk", flat=True))
        sent = events.payout_sent(
            program_id=program.pk,
            payout_id=payout.pk,
            payment_ids=ids,
            amounts_sat=[AMOUNT_SAT] * len(ids),
            fee_sat=FEE_SAT,
            effective_at=when,
        )
        settled = events.settlement(
            program_id=program.pk,
            payout_id=payout.pk,
            amount_sat=AMOUNT_SAT * len(ids),
            occurrence=1,
            effective_at=when,
            block_hash=str(payout.mined_block_hash),
            block_height=int(payout.mined_height or 0),
        )
        books.post([sent, settled])
