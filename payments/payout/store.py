"""The engine's store in PostgreSQL: every write is one database transaction under the payout's fencing token."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Case, Exists, F, Q, Subquery, When
from django.db.models.functions import Now

from payments import doorbell
from payments.models import Block, Hold, HoldRule, Payment, Payout, PayoutTx, Reservation, history
from payments.onchain import fee, tx
from payments.payout import alarms, booking, core, durability, words
from payments.payout.ports import LeaseLost
from payments.states import PaymentStatus, PayoutStatus

SNAPSHOT = """
SELECT p.lease_until < clock_timestamp() + make_interval(secs => %s), p.status,
    coalesce(p.due_at <= clock_timestamp(), true), p.attempts, p.offers, c.raw IS NULL,
    ARRAY(SELECT t.txid FROM payments_payouttx t WHERE t.payout_id = p.id), s.txid, s.raw,
    coalesce(c.kind = 'bump', false), coalesce(s.kind = 'bump', false), p.claim_number IS NOT NULL,
    coalesce(
        (SELECT 'The engine is stopped: ' || reason FROM payments_stop WHERE is_open),
        CASE WHEN w.halted_at IS NOT NULL THEN 'The wallet is halted (' || w.halt_code || '): ' || w.halt_reason END,
        CASE WHEN p.status <> 'voiding' AND EXISTS (
            SELECT FROM payments_payment m JOIN payments_payment o ON o.id = m.reissue_of_id
            JOIN payments_payout v ON v.id = o.payout_id
            WHERE m.payout_id = p.id AND m.reissue_of_id IS NOT NULL AND v.status <> 'voided')
        THEN 'What it pays anew may be paid after all: a reorganization undid a void.' END,
        CASE WHEN EXISTS (SELECT FROM payments_payout a WHERE a.id = p.parent_id AND a.status = 'voiding')
        THEN 'The payout whose fee it pays is given up.' END,
        CASE WHEN EXISTS (SELECT FROM payments_payout a WHERE a.id = p.parent_id AND a.mined_txid <> p.anchor_txid)
        THEN 'The payout whose fee it pays is in a block as another version.' END,
        '')
FROM payments_payout p
JOIN payments_wallet w ON w.id = p.wallet_id
LEFT JOIN payments_payouttx c ON c.id = p.current_id
LEFT JOIN LATERAL (
    SELECT t.txid, t.raw, t.kind FROM payments_payouttx t
    WHERE t.payout_id = p.id AND t.raw IS NOT NULL AND (p.status <> 'voiding' OR t.kind = 'void')
    ORDER BY t.id DESC LIMIT 1
) s ON true
WHERE p.id = %s AND p.lease_token = %s
"""
TIP_HEIGHT = Block.objects.filter(is_active=True).order_by("-height").values("height")[:1]

# The alarm about a payout that the engine tries again and again in vain.
STUCK = "payout_stuck"


class PostgresStore:
    """Implements ``ports.Store``. Leases run on the database's clock, the only one all workers share."""

    def lease(self, payout_id: int) -> int | None:
        """Take the payout unless another worker has it; return the new token."""
        with connection.cursor() as cursor:
            cursor.execute(
                # A lease need not reach the disk, so a crash of the database may forget it: the clock keeps its token
                # from being given a second time to somebody else.
                "UPDATE payments_payout SET lease_token = greatest(lease_token + 1,"  # noqa: S608 - a constant.
                " (extract(epoch FROM clock_timestamp()) * 1000000)::bigint),"
                f" lease_until = clock_timestamp() + make_interval(secs => %s) FROM {durability.SOFT} AS soft"
                " WHERE id = %s AND (lease_until IS NULL OR lease_until < clock_timestamp())"
                " RETURNING lease_token",
                [settings.GOVPAY_LEASE_S, payout_id],
            )
            row = cursor.fetchone()
        return int(row[0]) if row else None

    def unlease(self, payout_id: int, token: int) -> None:
        """Give the payout back if it is still ours."""
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE payments_payout SET lease_until = NULL FROM {durability.SOFT} AS soft"  # noqa: S608 - a constant.
                " WHERE id = %s AND lease_token = %s",
                [payout_id, token],
            )

    def _renew(self, payout_id: int, token: int) -> None:
        later = Now() + timedelta(seconds=settings.GOVPAY_LEASE_S)
        rows = Payout.objects.filter(pk=payout_id, lease_token=token)
        if not rows.update(lease_until=later):
            raise LeaseLost(payout_id)

    def snapshot(self, payout_id: int, token: int) -> words.Snapshot:
        """Read status, txids, stored bytes and brake in one query; of a payout that is given up only voids go out.

        A lease of which less than half is left is renewed, so that a long visit is not overtaken between two commands.
        """
        with connection.cursor() as cursor:
            cursor.execute(SNAPSHOT, [settings.GOVPAY_LEASE_S / 2, payout_id, token])
            row = cursor.fetchone()
        if row is None:
            raise LeaseLost(payout_id)
        if row[0]:
            self._renew(payout_id, token)
        (
            _,
            status,
            is_due,
            attempts,
            offers,
            is_pending,
            txids,
            txid,
            raw,
            is_bump,
            is_bump_out,
            is_claimed,
            brake,
        ) = row
        return words.Snapshot(
            payout_id,
            status,
            txids=frozenset(txids),
            signed=None if raw is None else words.Version(txid, bytes(raw), is_bump_out),
            is_pending=is_pending,
            is_due=is_due,
            brake=brake,
            attempts=attempts,
            offers=offers,
            is_bump=is_bump,
            is_claimed=is_claimed,
        )

    def commit(self, payout_id: int, token: int) -> None:
        """Pass the point of no return."""
        with self.fenced(payout_id, token) as payout:
            self._move(payout, PayoutStatus.COMMITTED)
            subject, subject_id = _list_of(payout)
            alarms.clear(
                "payout_refused", subject=subject, subject_id=subject_id, note="The node takes it now."
            )

    def unseal(self, payout_id: int, token: int, reason: str) -> None:
        """Free payments and outpoints of a payout that no signer can have seen, and seal them anew.

        Its coins rest until its ``due_at``: the reason that one of them is gone may last for blocks.
        """
        with self.fenced(payout_id, token) as payout:
            self._unseal(payout, reason, due_at=Now() + timedelta(seconds=core.COIN_REST_S))

    def quarantine(self, payout_id: int, token: int, payment_ids: Sequence[int], reason: str) -> None:
        """Unseal, and hold the payments that the node refuses, each with an alarm; the rest is sealed anew."""
        with self.fenced(payout_id, token) as payout:
            # What no payment by itself is to blame for would be refused again at once: its coins rest.
            rest = None if payment_ids else Now() + timedelta(seconds=core.COIN_REST_S)
            self._unseal(payout, reason, due_at=rest)
            history.move(
                Payment.objects.filter(pk__in=payment_ids),
                old=PaymentStatus.PENDING,
                new=PaymentStatus.HELD,
                note=f"The node refuses it: {reason}",
                expected=len(payment_ids),
            )
            Hold.place(payment_ids, rule=HoldRule.NODE_REFUSED, note=f"The node refuses it: {reason}")
            program_id = payout.wallet.program_id
            for pk in payment_ids:
                alarms.sound(
                    "payment_refused",
                    subject="payment",
                    subject_id=pk,
                    program_id=program_id,
                    message=f"The node refuses payment {pk} ({reason}); it is held, the others are paid.",
                )
            if not payment_ids:
                subject, subject_id = _list_of(payout)
                alarms.sound(
                    "payout_refused",
                    subject=subject,
                    subject_id=subject_id,
                    program_id=program_id,
                    message=f"The node refuses payout {payout_id} ({reason}), and no payment of it by itself.",
                )

    def persist(self, payout_id: int, token: int, raw: bytes) -> None:
        """Store the bytes and book them: each payment in transit, the fee, the coins out of the wallet."""
        with self.fenced(payout_id, token) as payout:
            # The signer's check has shown that these bytes are a version with witnesses, so the txid is the same. It
            # need not be the newest one: signers elsewhere may complete an older one first.
            version = PayoutTx.objects.filter(payout=payout, txid=tx.txid_of(raw), raw__isnull=True).first()
            if version is None:
                # The follower has stored them from a block meanwhile.
                return
            weight = len(version.unsigned_tx) * (fee.WITNESS_SCALE - 1) + len(raw)
            booking.keep_signed(payout, version, raw, weight=weight)
            changes: dict[str, Any] = {"problem": "", "due_at": None, "attempts": 0, "offers": 0}
            if payout.status == PayoutStatus.COMMITTED:
                self._move(payout, PayoutStatus.SIGNED, note=version.txid, **changes)
            else:
                Payout.objects.filter(pk=payout_id).update(**changes)

    def record_sent(self, payout_id: int, token: int, note: str, delay_s: int) -> None:
        """Note that a node has the tx; its bytes are offered again after a while.

        From the height of the first such note a bump comes due, unless a newer version still waits for its signature.
        """
        rest: dict[str, Any] = {
            "due_at": Now() + timedelta(seconds=delay_s),
            "problem": note[:300],
            "attempts": 0,
            "offers": F("offers") + 1,
        }
        with self.fenced(payout_id, token, is_soft=True) as payout:
            if payout.sent_height is None:
                is_newest = Exists(PayoutTx.objects.filter(pk=payout.current_id or 0, raw__isnull=False))
                rest["sent_height"] = Case(When(is_newest, then=Subquery(TIP_HEIGHT)))
            if payout.status == PayoutStatus.SIGNED:
                self._move(payout, PayoutStatus.SENT, **rest)
            else:
                Payout.objects.filter(pk=payout_id).update(**rest)
            if payout.attempts >= core.STUCK_ATTEMPTS:
                alarms.clear(STUCK, subject="payout", subject_id=payout_id, note="A node has the tx.")

    def freeze(self, payout_id: int, token: int, reason: str) -> None:
        """Stop the payout for a person to look at."""
        with self.fenced(payout_id, token) as payout:
            self._move(payout, PayoutStatus.FROZEN, note=reason, problem=reason[:300])
            alarms.sound(
                "payout_frozen",
                subject="payout",
                subject_id=payout_id,
                program_id=payout.wallet.program_id,
                message=reason,
            )

    def retry(self, payout_id: int, token: int, reason: str, delay_s: int, is_failure: bool = True) -> None:
        """Note why the payout waits and until when; the status stays. Many failures in a row open an alarm."""
        with self.fenced(payout_id, token, is_soft=True) as payout:
            attempts = payout.attempts + is_failure
            self._put_off(payout, reason, delay_s, attempts)
            if attempts >= core.STUCK_ATTEMPTS:
                alarms.sound(
                    STUCK,
                    subject="payout",
                    subject_id=payout.pk,
                    program_id=payout.wallet.program_id,
                    message=f"{attempts} attempts in a row failed, the last one because: {reason}",
                )

    def put_off(self, payout_id: int, reason: str) -> None:
        """Note why a visit could not even begin; until it is due again the sweep rings for others.

        That is the node's trouble, or the wallet's, and has its own alarm. A visit before its time, of a ring that came
        twice, counts as none: fifty of them would make the next failure wait as the fifty-first in a row.
        """
        due = Q(due_at=None) | Q(due_at__lte=Now())
        with transaction.atomic():
            payout = Payout.objects.select_for_update().filter(due, pk=payout_id).first()
            if payout is not None:
                self._put_off(payout, reason, core.retry_s(payout_id, payout.attempts), payout.attempts + 1)

    def _put_off(self, payout: Payout, reason: str, delay_s: int, attempts: int) -> None:
        Payout.objects.filter(pk=payout.pk).update(
            due_at=Now() + timedelta(seconds=delay_s), problem=reason[:300], attempts=attempts, offers=0
        )

    def want_fee(self, payout_id: int, token: int, reason: str, delay_s: int) -> None:
        """Note why the payout waits, and ring for a bump; the next offer that is too low rings again."""
        self.retry(payout_id, token, reason, delay_s)
        doorbell.ring("bump", payout_id=payout_id)

    def spender(self, payout_id: int) -> str | None:
        """Return the txid that spends an input in a block that was read; ours, if it is there, spends them all."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT c.spent_by_txid FROM payments_reservation r"
                " JOIN payments_coin c ON (c.txid, c.vout) = (r.txid, r.vout)"
                " WHERE r.payout_id = %s AND c.spent_by_txid IS NOT NULL ORDER BY r.position LIMIT 1",
                [payout_id],
            )
            row = cursor.fetchone()
        return row[0] if row else None

    def _unseal(self, payout: Payout, reason: str, *, due_at: Any) -> None:
        self._move(payout, PayoutStatus.UNSEALED, note=reason, problem=reason[:300], due_at=due_at)
        Reservation.objects.filter(payout=payout).update(is_live=False)
        Payment.objects.filter(payout=payout).update(payout=None, vout=None)
        if payout.disbursement_id is not None:
            doorbell.ring("seal", disbursement_id=payout.disbursement_id)

    @contextmanager
    def fenced(self, payout_id: int, token: int, *, is_soft: bool = False) -> Iterator[Payout]:
        """Open a database transaction that holds the payout's row, if the token is still the newest."""
        with transaction.atomic():
            if is_soft:
                durability.soften()
            payout = (
                history.standing(Payout, [payout_id])
                .filter(lease_token=token)
                .select_for_update(of=("self",))
                .first()
            )
            if payout is None:
                raise LeaseLost(payout_id)
            yield payout

    def _move(self, payout: Payout, new: str, note: str = "", **changes: Any) -> None:
        # Read and locked by ``fenced``.
        rows = Payout.objects.filter(pk=payout.pk)
        history.move(rows, old=payout.status, new=new, note=note, locked=[payout], **changes)


def _list_of(payout: Payout) -> tuple[str, int]:
    """Return what an alarm about a payout that is sealed anew again and again is about: its list, or its wallet."""
    if payout.disbursement_id is not None:
        return "disbursement", payout.disbursement_id
    return "wallet", payout.wallet_id
