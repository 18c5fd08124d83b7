"""Takes bitcoin legs of lists: asked for at submission, taken at release as far as the trust's floor and cap let it (R-25).

A line whose person elected currency pays the trust's address, and the manifest that people agree to says so. At the release
the trust promises what the satoshis are worth at one quote, under the lock of its money, line after line up to the first
that it cannot pay. The lines beyond are held: their people choose what they take instead, and the rest of the list goes on.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import QuerySet, Sum

from govpay.errors import InvalidInput
from ledger import books
from ledger.law import policy
from ledger.treasury import trust as entries
from payments.models import (
    Disbursement,
    Election,
    Hold,
    HoldRule,
    LegRefusal,
    Payment,
    Quote,
    TrustLeg,
    TrustPurse,
)
from payments.models.history import move
from payments.prices import quotes
from payments.states import LegStatus, PaymentStatus
from payments.trust import money, words

BATCH = 5_000
ELECTED = """
SELECT p.id, e.id FROM payments_payment p
JOIN payments_enrollment n ON n.program_id = %(program)s AND n.beneficiary_id = p.beneficiary_id
CROSS JOIN LATERAL (
    SELECT * FROM payments_election l WHERE l.enrollment_id = n.id ORDER BY l.id DESC LIMIT 1
) e
WHERE p.disbursement_id = %(list)s AND p.status IN ('pending', 'held') AND e.choice = 'currency'
ORDER BY p.id
"""
ASK = """
INSERT INTO payments_trustleg (payment_id, trust_id, purse_id, election_id, refusal, attempt, status, asked_at)
SELECT a.payment, u.trust_id, u.id, e.id, '', 1, 'asked', %(at)s::timestamptz
FROM unnest(%(payments)s::bigint[], %(elections)s::bigint[]) AS a(payment, election)
JOIN payments_election e ON e.id = a.election JOIN payments_trustpurse u ON u.id = e.purse_id
ORDER BY a.payment
"""
# The trust's addresses by turns, so that none of them gets more than its share.
ADDRESS = """
WITH places AS (
    SELECT h.scope, a.script_pubkey, row_number() OVER w AS place, count(*) OVER (PARTITION BY h.scope) AS places
    FROM payments_holdingaddress a JOIN payments_holding h ON h.id = a.holding_id
    WHERE a.is_live AND a.script_pubkey IS NOT NULL WINDOW w AS (PARTITION BY h.scope ORDER BY a.id)
), asked AS (
    SELECT g.payment_id, t.scope, row_number() OVER (PARTITION BY t.scope ORDER BY g.payment_id) AS turn
    FROM payments_trustleg g JOIN payments_trust t ON t.id = g.trust_id
    JOIN payments_payment p ON p.id = g.payment_id WHERE p.disbursement_id = %(list)s
)
UPDATE payments_payment p SET script_pubkey = s.script_pubkey, destination_id = NULL
FROM asked a JOIN places s ON s.scope = a.scope AND s.place = (a.turn - 1) %% s.places + 1
WHERE p.id = a.payment_id
"""
# Minor units, from what 100,000,000 of a number are: half to even.
HALF_EVEN = """div({n}, 100000000) + CASE
    WHEN 2 * mod({n}, 100000000) > 100000000
        OR 2 * mod({n}, 100000000) = 100000000 AND div({n}, 100000000) %% 2 = 1 THEN 1 ELSE 0 END"""
# The sums are of the lines before and of this one, in the order of the list, of those
# within the limit: one that does not fit is the last that is looked at.
JUDGE = f"""
WITH parts AS (
    SELECT g.id, p.id AS payment_id, p.amount_sat, NOT EXISTS (
            SELECT FROM payments_holdingaddress a JOIN payments_holding h ON h.id = a.holding_id
            WHERE a.is_live AND a.script_pubkey = p.script_pubkey AND h.scope = %(scope)s::varchar) AS is_gone,
        p.amount_sat::numeric * %(price)s::numeric * (10::numeric ^ %(scale)s::int) AS n
    FROM payments_trustleg g JOIN payments_payment p ON p.id = g.payment_id
    WHERE g.purse_id = %(purse)s AND g.status = 'asked' AND p.disbursement_id = %(list)s AND p.status IN ('pending', 'held')
), valued AS (
    SELECT id, payment_id, amount_sat, is_gone, {HALF_EVEN.format(n="n")} AS value_minor FROM parts
), limited AS (
    SELECT *, is_gone OR value_minor < 1 OR value_minor > %(limit)s::bigint AS is_over FROM valued
), summed AS (
    SELECT *, sum(value_minor) FILTER (WHERE NOT is_over) OVER w AS sum_minor,
        sum(amount_sat) FILTER (WHERE NOT is_over) OVER w AS sum_sat
    FROM limited WINDOW w AS (ORDER BY payment_id)
)
UPDATE payments_trustleg g SET amount_sat = s.amount_sat, value_minor = s.value_minor, quote_id = %(quote)s::bigint,
    refusal = CASE WHEN s.is_gone THEN 'address' WHEN s.is_over THEN 'limit' WHEN s.sum_minor > %(free)s::bigint THEN 'floor'
        WHEN s.sum_sat > %(room)s::bigint THEN 'cap' ELSE '' END
FROM summed s WHERE g.id = s.id
"""  # noqa: S608


def ask(disbursement: Disbursement, *, at: datetime) -> None:
    """Let the lines of a list that is being submitted pay the trusts that their people elected, in place of their addresses.

    Raises ElectionForged, and InvalidInput for a trust that has no address of this network.
    """
    if not Election.objects.filter(enrollment__program_id=disbursement.program_id).exists():
        return
    with connection.cursor() as cursor:
        cursor.execute(ELECTED, {"program": disbursement.program_id, "list": disbursement.pk})
        found = cursor.fetchall()
        if not found:
            return
        for batch in _batches(found):
            for row in Election.objects.filter(pk__in=[pk for _, pk in batch]):
                words.require_election(row)
        payments, elections = map(list, zip(*found, strict=True))
        cursor.execute(ASK, {"at": at, "payments": payments, "elections": elections})
        cursor.execute(ADDRESS, {"list": disbursement.pk})
        if cursor.rowcount != len(found):
            message = (
                "A trust that people on the list elected has no address of this network: it has no holding."
            )
            raise InvalidInput.of("", "trust_without_address", message)


def take(disbursement: Disbursement, *, by: User, at: datetime, quote: Quote | None = None) -> None:
    """Take the legs of a list that is being released, as far as floor, cap and limit let the trusts; hold the rest.

    ``quote`` is the list's, where it has one in the trust's currency; else one is taken now. The caller holds the
    list's row.
    """
    open_lines = (PaymentStatus.PENDING, PaymentStatus.HELD)
    asked = TrustLeg.objects.filter(
        payment__disbursement=disbursement, payment__status__in=open_lines, status=LegStatus.ASKED
    )
    # Trusts by number, and then their purses, as everybody locks them.
    pairs = sorted(set(asked.order_by().values_list("trust_id", "purse__currency")))
    for trust_id, currency in pairs:
        purse = money.lock_purse(money.lock(trust_id), currency)
        _take(disbursement, purse, asked.filter(purse=purse), by=by, at=at, quote=quote)


def _take(
    disbursement: Disbursement,
    purse: TrustPurse,
    asked: QuerySet[TrustLeg],
    *,
    by: User,
    at: datetime,
    quote: Quote | None,
) -> None:
    refusal, found = _price(disbursement, purse, by=by, at=at, quote=quote)
    if found is None:
        asked.update(refusal=refusal)
    else:
        _judge(disbursement, purse, found)
    taken = asked.filter(refusal="", value_minor__isnull=False)
    taken_ids = list(taken.order_by("pk").values_list("pk", flat=True))
    refused = dict(asked.exclude(refusal="").order_by("pk").values_list("payment_id", "refusal"))
    refused_ids = list(asked.exclude(refusal="").order_by("pk").values_list("pk", flat=True))
    _promise(disbursement, purse, taken_ids, by=by, at=at)
    _move(taken_ids, LegStatus.TAKEN, by, taken_at=at)
    _move(refused_ids, LegStatus.REFUSED, by)
    _hold(disbursement, purse, refused, by=by)


def _price(
    disbursement: Disbursement, purse: TrustPurse, *, by: User, at: datetime, quote: Quote | None
) -> tuple[str, Quote | None]:
    """Return the quote to convert at, or why none is."""
    if purse.trust.is_paused:
        return LegRefusal.PAUSED, None
    try:
        for profile in {purse.trust.policy_profile, disbursement.program.policy_profile}:
            policy.require(profile, policy.Rule.STATE_CONVERSION, at=at)
    except policy.PolicyRefused:
        return LegRefusal.LAW, None
    if quote is not None and quote.currency == purse.currency:
        return "", quote
    try:
        return "", quotes.take(purse.currency, at=at, by=by)
    except quotes.NoPrice:
        return LegRefusal.NO_PRICE, None


def _judge(disbursement: Disbursement, purse: TrustPurse, quote: Quote) -> None:
    quotes.verify(quote)
    values: dict[str, Any] = {
        "list": disbursement.pk,
        "purse": purse.pk,
        "scope": purse.trust.scope,
        "price": quote.price,
        "quote": quote.pk,
        "scale": purse.scale,
        "limit": purse.limit_minor,
        "free": purse.free_minor,
        "room": purse.trust.room_sat,
    }
    with connection.cursor() as cursor:
        cursor.execute(JUDGE, values)


def _promise(
    disbursement: Disbursement, purse: TrustPurse, ids: list[int], *, by: User, at: datetime
) -> None:
    if not ids:
        return
    amount_sat, value_minor = sums(ids)
    purse.promised_minor += value_minor
    purse.save(update_fields=["promised_minor"])
    purse.trust.promised_sat += amount_sat
    purse.trust.save(update_fields=["promised_sat"])
    entry = entries.promise(
        scope=purse.trust.scope,
        currency=purse.currency,
        value_minor=value_minor,
        key=f"trust_promise:purse:{purse.pk}:disbursement:{disbursement.pk}",
        source_ref=f"disbursement:{disbursement.pk}",
        memo=f"{len(ids)} legs",
        actor=by.get_username(),
        effective_at=at,
    )
    books.post([entry])


def sums(ids: list[int]) -> tuple[int, int]:
    """Return what legs add up to: satoshis and minor units."""
    found = TrustLeg.objects.filter(pk__in=ids).aggregate(sat=Sum("amount_sat"), minor=Sum("value_minor"))
    return int(found["sat"] or 0), int(found["minor"] or 0)


def _move(ids: list[int], new: str, by: User, **changes: Any) -> None:
    if ids:
        rows = TrustLeg.objects.filter(pk__in=ids)
        move(rows, old=LegStatus.ASKED, new=new, actor_id=by.pk, expected=len(ids), locked_ids=ids, **changes)


def _hold(disbursement: Disbursement, purse: TrustPurse, refused: dict[int, str], *, by: User) -> None:
    """Hold lines whose legs were refused, whatever else holds them."""
    if not refused:
        return
    rows = Payment.objects.filter(pk__in=refused, status=PaymentStatus.PENDING, payout=None)
    ids = list(rows.order_by("pk").select_for_update().values_list("pk", flat=True))
    if ids:
        note = str(HoldRule.TRUST_REFUSED.label)
        move(
            Payment.objects.filter(pk__in=ids),
            old=PaymentStatus.PENDING,
            new=PaymentStatus.HELD,
            note=note,
            expected=len(ids),
            locked_ids=ids,
        )
    for refusal in sorted(set(refused.values())):
        note = f"{LegRefusal(refusal).label}. {purse.trust} did not take it; the person chooses what they take instead."
        Hold.place(
            [pk for pk, why in refused.items() if why == refusal], rule=HoldRule.TRUST_REFUSED, note=note
        )


def _batches(rows: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    left = iter(rows)
    while batch := list(islice(left, BATCH)):
        yield batch
