"""Holds the lines of a list that a rule speaks against, and lets them go when it no longer does; the rest is paid (R-17).

A rule is one SELECT over all lines of a list that no payout has claimed: it names the payment, the row it is about
and why. ``review`` compares what the rules say now with the holds that are open, so that it may be called at any time
and any number of times: at submission, inside the release, and whenever the finder sees that a hold may end.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from ledger import audit
from payments import doorbell
from payments.models import Disbursement, Hold, HoldRule, Payment, Program
from payments.models.history import move
from payments.states import DisbursementStatus, PaymentStatus

# Lists in which a line may be held or go on by itself; a draft is screened when it is submitted.
OPEN = (DisbursementStatus.SUBMITTED, DisbursementStatus.APPROVED, DisbursementStatus.RELEASED)


class Rule(NamedTuple):
    """A rule's code, and a SELECT of payment, subject and note from ``lines``, given ``now`` and what is on."""

    code: str
    query: str


COOLING = Rule(
    HoldRule.DESTINATION_COOLING,
    """
    SELECT l.id, d.id, 'The address was ' || CASE WHEN d.changed_at IS NULL THEN 'claimed' ELSE 'changed' END || ' at '
        || to_char(coalesce(d.changed_at, c.used_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')
        || ' UTC and may be paid from ' || to_char(coalesce(d.changed_at, c.used_at) AT TIME ZONE 'UTC'
            + make_interval(secs => r.destination_cooling_s), 'YYYY-MM-DD HH24:MI') || ' UTC on.'
    FROM lines l JOIN payments_destination d ON d.id = l.destination_id JOIN payments_program r ON r.id = l.program_id
    LEFT JOIN payments_claimlink c ON c.destination_id = d.id AND r.claimed_counts_as_changed
    WHERE coalesce(d.changed_at, c.used_at) + make_interval(secs => r.destination_cooling_s) > %(now)s
    """,
)
SHARED = Rule(
    HoldRule.DESTINATION_SHARED,
    """
    SELECT l.id, min(d.beneficiary_id), 'Person ' || min(d.beneficiary_id) || ' is or was paid at this address.'
    FROM lines l JOIN payments_destination d
        ON d.script_pubkey = l.script_pubkey AND d.beneficiary_id <> l.beneficiary_id
    GROUP BY l.id
    """,
)
EXCLUDED = Rule(
    HoldRule.PERSON_EXCLUDED,
    """
    SELECT l.id, e.id, 'On the list ' || x.name || ': ' || x.reason
    FROM lines l JOIN payments_beneficiary b ON b.id = l.beneficiary_id
    JOIN payments_exclusion e ON e.identity_hash = b.identity_hash AND e.lifted_at IS NULL
    JOIN payments_exclusionlist x ON x.id = e.exclusion_list_id
    WHERE (x.program_id IS NULL OR x.program_id = l.program_id)
        AND (%(now)s AT TIME ZONE 'UTC')::date BETWEEN x.valid_from AND coalesce(x.valid_to, 'infinity')
    """,
)
UNVERIFIED = Rule(
    HoldRule.PERSON_UNVERIFIED,
    """
    SELECT l.id, l.beneficiary_id, CASE v.standing WHEN 'refused' THEN 'The verifier does not confirm the person.'
        ELSE 'The person is not verified yet.' END
    FROM lines l LEFT JOIN payments_verification v ON v.beneficiary_id = l.beneficiary_id
    WHERE %(verifies)s AND v.standing IS DISTINCT FROM 'confirmed'
    """,
)
UNPROVED = Rule(
    HoldRule.CONTROL_UNPROVED,
    """
    SELECT l.id, d.id, 'Nobody has proved to control this address.'
    FROM lines l JOIN payments_destination d ON d.id = l.destination_id JOIN payments_program r ON r.id = l.program_id
    LEFT JOIN payments_claimlink c ON c.destination_id = d.id AND r.claimed_counts_as_changed
    WHERE %(proves)s AND (r.destination_proof = 2
            OR r.destination_proof = 1 AND coalesce(d.changed_at, c.used_at) IS NOT NULL)
        AND NOT EXISTS (
        SELECT FROM payments_addressproof a WHERE a.beneficiary_id = l.beneficiary_id AND a.program_id = l.program_id
            AND a.script_pubkey = d.script_pubkey AND a.proved_at IS NOT NULL)
    """,
)
WITHDRAWN = Rule(
    HoldRule.CONSENT_WITHDRAWN,
    """
    SELECT l.id, c.id, 'The consent was withdrawn at ' || to_char(c.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')
        || ' UTC.'
    FROM lines l JOIN payments_consent c ON c.beneficiary_id = l.beneficiary_id AND c.program_id = l.program_id
    WHERE NOT c.is_given AND NOT EXISTS (
        SELECT FROM payments_consent n
        WHERE n.beneficiary_id = c.beneficiary_id AND n.program_id = c.program_id AND n.id > c.id)
    """,
)
ACCOUNT_COOLING = Rule(
    HoldRule.DESTINATION_COOLING,
    """
    SELECT l.id, a.id, 'The bank account was changed at ' || to_char(a.changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')
        || ' UTC and cools.'
    FROM lines l JOIN payments_bankaccount a ON a.id = l.bank_account_id JOIN payments_program r ON r.id = l.program_id
    WHERE a.changed_at + make_interval(secs => r.destination_cooling_s) > %(now)s
    """,
)
ACCOUNT_SHARED = Rule(
    HoldRule.DESTINATION_SHARED,
    """
    SELECT l.id, min(o.beneficiary_id), 'Person ' || min(o.beneficiary_id) || ' is or was paid at this bank account.'
    FROM lines l JOIN payments_bankaccount a ON a.id = l.bank_account_id
    JOIN payments_bankaccount o ON o.iban_hash = a.iban_hash AND o.beneficiary_id <> l.beneficiary_id
    GROUP BY l.id
    """,
)
TITLE_OTHER = Rule(
    HoldRule.TITLE_MISMATCH,
    """
    SELECT l.id, a.id, 'The bank says of the title: ' || CASE a.title_match WHEN 'CMTC' THEN 'nearly the same.'
        WHEN 'NOAP' THEN 'it cannot say.' ELSE 'another one.' END
    FROM lines l JOIN payments_bankaccount a ON a.id = l.bank_account_id
    WHERE %(payees)s AND a.title_match IN ('CMTC', 'NMTC', 'NOAP')
    """,
)
TITLE_UNKNOWN = Rule(
    HoldRule.TITLE_UNCONFIRMED,
    """
    SELECT l.id, a.id, 'The bank has not confirmed the title of the account yet.'
    FROM lines l JOIN payments_bankaccount a ON a.id = l.bank_account_id WHERE %(payees)s AND a.title_match = ''
    """,
)
TRAVEL = Rule(
    HoldRule.TRAVEL_RULE,
    """
    SELECT l.id, t.id, 'travel_rule: ' || t.missing || ' is not known, and with this payment the person gets so much that it'
        || ' must be. ' || t.law FROM lines l JOIN payments_travelrecord t ON t.payment_id = l.id WHERE t.missing <> ''
    """,
)
RULES: list[Rule] = [
    *(COOLING, SHARED, EXCLUDED, UNVERIFIED, UNPROVED, WITHDRAWN),
    *(ACCOUNT_COOLING, ACCOUNT_SHARED, TITLE_OTHER, TITLE_UNKNOWN, TRAVEL),
]

_LINES = """
WITH lines AS (
    SELECT p.id, p.beneficiary_id, p.destination_id, p.script_pubkey, p.bank_account_id, p.status, p.disbursement_id,
        b.program_id
    FROM payments_payment p JOIN payments_disbursement b ON b.id = p.disbursement_id
    WHERE p.status IN ('pending', 'held') AND p.payout_id IS NULL AND p.sent_at IS NULL AND {scope}
), found (rule, payment_id, subject_id, note) AS ({found})
"""
_OF_LIST = "p.disbursement_id = %(disbursement)s"
_HELD_BY_RULE = """
p.status = 'held' AND p.id IN (SELECT payment_id FROM payments_hold WHERE rule = ANY(%(rules)s) AND ended_at IS NULL)
"""
_PLACE = """
, placed AS (
    INSERT INTO payments_hold (payment_id, rule, subject_id, note, placed_at)
    SELECT f.payment_id, f.rule, f.subject_id, f.note, %(now)s FROM found f WHERE NOT EXISTS (
        SELECT FROM payments_hold h WHERE h.payment_id = f.payment_id AND h.rule = f.rule
            AND h.subject_id = f.subject_id AND (h.ended_at IS NULL OR h.ended_by_id IS NOT NULL))
    RETURNING rule
) SELECT DISTINCT rule FROM placed
"""
_STANDS_NO_MORE = """
h.rule = ANY(%(rules)s) AND h.ended_at IS NULL AND NOT EXISTS (
    SELECT FROM found f WHERE f.rule = h.rule AND f.payment_id = h.payment_id AND f.subject_id = h.subject_id)
"""
_END = f"UPDATE payments_hold h SET ended_at = %(now)s FROM lines l WHERE l.id = h.payment_id AND {_STANDS_NO_MORE}"  # noqa: S608
_MAY_END = f"""
SELECT DISTINCT l.disbursement_id FROM payments_hold h JOIN lines l ON l.id = h.payment_id WHERE {_STANDS_NO_MORE}
"""  # noqa: S608


@transaction.atomic
def review(disbursement_id: int, *, now: datetime | None = None) -> None:
    """Hold and let go what the rules say today of a list that was submitted and has lines in no payout."""
    # Sealing holds payments and then refers to their list: a lock that forbids references would be a deadlock.
    found = Disbursement.objects.select_for_update(no_key=True).get(pk=disbursement_id)
    if found.status in OPEN:
        screen(found, now=now)


def screen(disbursement: Disbursement, *, now: datetime | None = None) -> None:
    """Apply every rule to the lines of a list whose row the caller has locked."""
    now = now or timezone.now()
    head, values = _head(_OF_LIST), _values(now, disbursement.program) | {"disbursement": disbursement.pk}
    with connection.cursor() as cursor:
        cursor.execute(head + _PLACE, values)
        placed = {rule for (rule,) in cursor.fetchall()}
        cursor.execute(head + _END, values)
        ended = cursor.rowcount
    for rule in RULES:
        if rule.code in placed:
            _stop(disbursement, rule.code)
    if ended:
        _let_go(disbursement)


def lists_to_review(*, now: datetime, most: int) -> Iterator[int]:
    """Find lists with a held line whose rule does not speak against it any more."""
    with connection.cursor() as cursor:
        cursor.execute(_head(_HELD_BY_RULE) + _MAY_END, _values(now))
        found = [pk for (pk,) in cursor.fetchall()]
    still_open = Disbursement.objects.filter(pk__in=found, status__in=OPEN).order_by("pk")
    yield from still_open.values_list("pk", flat=True)[:most]


def _head(scope: str) -> str:
    """Return what begins a statement: the lines that are looked at, and what every rule finds among them."""
    found = " UNION ALL ".join(f"SELECT '{rule.code}', q.* FROM ({rule.query}) q" for rule in RULES)  # noqa: S608
    return _LINES.format(scope=scope, found=found)


def _values(now: datetime, program: Program | None = None) -> dict[str, Any]:
    """Return what rules are given; those that are off, for all or for the program, cost nothing."""
    return {
        "rules": [str(rule.code) for rule in RULES],
        "now": now,
        "verifies": bool(settings.GOVPAY_VERIFIER_URL),
        "payees": bool(settings.GOVPAY_PAYEE_CHECK_URL),
        "proves": program is None or program.destination_proof > 0,
    }


def _lines(disbursement: Disbursement, status: str, **holds: Any) -> list[int]:
    """Return the lines in a status, locked, that no payout has claimed meanwhile."""
    rows = Payment.objects.filter(
        disbursement=disbursement, status=status, payout=None, sent_at=None, **holds
    )
    return list(rows.order_by("pk").select_for_update(of=("self",)).values_list("pk", flat=True))


def _stop(disbursement: Disbursement, rule: str) -> None:
    held = Hold.objects.filter(rule=rule, ended_at=None, payment__disbursement=disbursement)
    ids = _lines(disbursement, PaymentStatus.PENDING, pk__in=held.values("payment_id"))
    _move(ids, PaymentStatus.PENDING, PaymentStatus.HELD, note=str(HoldRule(rule).label))
    _record("list.hold_lines", disbursement)


def _let_go(disbursement: Disbursement) -> None:
    of_list = Hold.objects.filter(payment__disbursement=disbursement)
    # Only what holds have stopped goes on, once none of them is left.
    ids = _lines(disbursement, PaymentStatus.HELD, pk__in=of_list.values("payment_id"))
    open_ids = set(of_list.filter(ended_at=None).values_list("payment_id", flat=True))
    ids = [pk for pk in ids if pk not in open_ids]
    _move(ids, PaymentStatus.HELD, PaymentStatus.PENDING, note="No rule speaks against it any more.")
    _record("list.resume_lines", disbursement)
    if ids and disbursement.status == DisbursementStatus.RELEASED:
        doorbell.ring("seal", disbursement_id=disbursement.pk)


def _record(act: str, disbursement: Disbursement) -> None:
    audit.record_all(act, Disbursement, {disbursement.pk: f"program:{disbursement.program_id}"})


def _move(ids: list[int], old: str, new: str, *, note: str) -> None:
    if ids:
        move(
            Payment.objects.filter(pk__in=ids),
            old=old,
            new=new,
            note=note,
            expected=len(ids),
            locked_ids=ids,
        )
